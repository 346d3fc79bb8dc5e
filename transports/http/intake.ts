import type { Check } from '../../src/core/call/operation.ts'
import { type Schema, validating } from '../../src/core/call/schema.ts'
import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { lostKind } from '../shared/json.ts'
import { isRawBody } from './encode-body.ts'
import { RestInput } from './input.ts'

/** Where the names of an input go. */
export interface IntakePlan {
  readonly origin: ErrorOrigin
  readonly params: readonly string[]
  /** Names that go to the query although the rest is a body. */
  readonly queryNames: readonly string[]
  /** Where goes what neither path nor `queryNames` take. */
  readonly rest: 'query' | 'body'
  /** A body is sent even if it is empty. */
  readonly hasBody: boolean
  readonly schemas: {
    readonly input?: Schema<any, any>
    readonly query?: Schema<any, any>
    readonly headers?: Schema<any, any>
    readonly body?: Schema<any, any>
  }
}

type Intake = (input: unknown, check: Check) => RestInput | Promise<RestInput>
type Values = Readonly<Record<string, unknown>>

const none: Values = Object.freeze({})

/** Takes `{ id, name, dryRun }` apart: path by the template's names, query by `queryNames`, the rest by the plan. */
export function flatIntake(plan: IntakePlan): Intake {
  const { origin, params: names, queryNames, rest, hasBody } = plan
  const input = validating(plan.schemas.input)
  const part = validating(rest === 'body' ? plan.schemas.body : plan.schemas.query)
  const reserved = names.length + queryNames.length > 0 ? new Set([...names, ...queryNames]) : undefined

  const split = (value: unknown, raw: unknown, check: Check): RestInput | Promise<RestInput> => {
    if (!isRecord(value)) {
      if (rest === 'body' && !reserved && value !== null)
        return then(part ? check(part, value) : value, (body) => new RestInput(none, none, undefined, body))
      throw refusal(
        `the input is an object of names; for ${Array.isArray(value) ? 'lists' : 'texts, bytes and files'} declare shape: 'nested'`,
        origin,
      )
    }
    const params = names.length > 0 ? pick(names, value, raw as Values) : none
    const query = queryNames.length > 0 ? pick(queryNames, value, none) : none
    const left = reserved ? without(reserved, value) : value
    return then(part ? check(part, left) : left, (checked) => {
      if (rest === 'query') return new RestInput(params, checked as object, undefined, undefined)
      return new RestInput(
        params,
        query,
        undefined,
        hasBody || Object.keys(checked as object).length > 0 ? checked : undefined,
      )
    })
  }
  return (given, check) => {
    const raw = given ?? none
    return then(input ? check(input, raw) : raw, (value) => split(value, raw, check))
  }
}

/** Takes `{ params, query, headers, body }` as it is, each part validated by its schema. */
export function nestedIntake({ origin, schemas }: IntakePlan): Intake {
  const query = validating(schemas.query)
  const headers = validating(schemas.headers)
  const body = validating(schemas.body)
  return (given, check) => {
    const input = given ?? none
    if (!isRecord(input)) throw refusal(`the input is { params, query, headers, body }`, origin)
    const checked = [query, headers, body].map((schema, index) => {
      const part = parts[index] as string
      // A part may be left out where every name in it is optional: then it stands for an empty one.
      return schema ? check(schema, part in input ? input[part] : {}) : input[part]
    })
    const make = ([query, headers, body]: unknown[]) =>
      new RestInput((input.params ?? none) as Values, (query ?? none) as object, headers as Values | undefined, body)
    return checked.some((value) => value instanceof Promise) ? Promise.all(checked).then(make) : make(checked)
  }
}

const parts = ['query', 'headers', 'body'] as const

/** Goes on at once where the value is there at once. */
function then<T>(value: unknown, go: (value: any) => T | Promise<T>): T | Promise<T> {
  return value instanceof Promise ? value.then(go) : go(value)
}

function isRecord(value: unknown): value is Values {
  if (typeof value !== 'object' || value === null) return false
  return (
    Object.getPrototypeOf(value) === Object.prototype ||
    (!Array.isArray(value) && !isRawBody(value) && lostKind(value) === undefined)
  )
}

/** A schema may drop what it does not know: path names come from what was passed, then. */
function pick(names: readonly string[], from: Values, or: Values): Values {
  const picked: Record<string, unknown> = {}
  for (const name of names)
    if (Object.hasOwn(from, name) || Object.hasOwn(or, name))
      picked[name] = Object.hasOwn(from, name) ? from[name] : or[name]
  return picked
}

function without(names: ReadonlySet<string>, from: Values): Values {
  const left: Record<string, unknown> = {}
  for (const name of Object.keys(from)) {
    if (names.has(name)) continue
    // A plain assignment to this name would set the prototype.
    if (name === '__proto__') Object.defineProperty(left, name, { value: from[name], enumerable: true })
    else left[name] = from[name]
  }
  return left
}
