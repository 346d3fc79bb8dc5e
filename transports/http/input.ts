import type { Check } from '../../src/core/call/operation.ts'
import { type Schema, validating } from '../../src/core/call/schema.ts'
import { type Sealed, snapshot } from '../../src/core/call/snapshot.ts'
import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { lostKind } from '../shared/json.ts'
import { type EncodedBody, isRawBody } from './encode-body.ts'

/** The parts of one call: `call.input` on the way to the transport. */
export interface RequestParts {
  readonly params: Readonly<Record<string, unknown>>
  readonly query: object
  readonly headers: Readonly<Record<string, unknown>> | undefined
  readonly body: unknown
}

/**
 * The parts as a reader makes them. The body is encoded once, and what is left is copied where anything is waited for, so
 * that every attempt sends the same whatever becomes of the caller's objects.
 */
export class RequestInput implements RequestParts, Sealed {
  params: RequestParts['params']
  query: object
  headers: RequestParts['headers']
  body: unknown
  /** Private: a copy by spread, with another body, must not take it along. */
  #encoded: EncodedBody | undefined

  constructor(params: RequestParts['params'], query: object, headers: RequestParts['headers'], body: unknown) {
    this.params = params
    this.query = query
    this.headers = headers
    this.body = body
  }

  encodeOnce(encode: () => EncodedBody): EncodedBody {
    this.#encoded ??= encode()
    return this.#encoded
  }

  '~seal'(): void {
    // An empty query is nobody's to change.
    for (const _ in this.query) {
      this.query = snapshot(this.query) as object
      break
    }
    this.headers &&= snapshot(this.headers) as RequestParts['headers']
    if (!this.#encoded) this.body &&= snapshot(this.body)
  }
}

/** The headers of a nested input. */
export const headersOf = ({ headers }: RequestParts): RequestParts['headers'] => headers

/** What a declaration says of its input. */
export interface InputSpec {
  readonly shape?: 'flat' | 'nested' | undefined
  readonly input?: Schema<any, any> | undefined
  readonly query?: Schema<any, any> | readonly string[] | undefined
  readonly headers?: Schema<any, any> | undefined
  readonly body?: Schema<any, any> | '*' | undefined
  readonly [readsInput]?: ReadInput
}

/** Where a spec has what reads its input instead: set by a description for run time. */
export const readsInput: unique symbol = /* @__PURE__ */ Symbol('reads input')

/** Takes the input of a call apart, validated; asynchronous only where a schema is. */
export type ReadInput = (input: unknown, check: Check) => RequestInput | Promise<RequestInput>

type Values = Readonly<Record<string, unknown>>
type Parts = Record<string, unknown>

const none: Values = Object.freeze({})
/** Methods whose flat input goes to the query. */
export const bodiless: readonly string[] = ['GET', 'HEAD', 'DELETE', 'OPTIONS']

/** Where goes what neither the path nor a list of query names takes. */
export function restPart(method: string, { query, body }: InputSpec): 'query' | 'body' {
  const isTakenByQuery = query !== undefined && !Array.isArray(query)
  return body !== undefined || !(isTakenByQuery || bodiless.includes(method)) ? 'body' : 'query'
}

/** Makes, once for an operation, what takes its inputs apart. */
export function inputReader(method: string, names: readonly string[], spec: InputSpec, origin: ErrorOrigin): ReadInput {
  return (
    spec[readsInput] ?? (spec.shape === 'nested' ? nestedReader(spec, origin) : flatReader(method, names, spec, origin))
  )
}

/** `{ id, name, dryRun }`: path by the template's names, query by the listed ones, the rest to query or body. */
function flatReader(method: string, names: readonly string[], spec: InputSpec, origin: ErrorOrigin): ReadInput {
  const rest = restPart(method, spec)
  const queryNames: readonly string[] = rest === 'body' && Array.isArray(spec.query) ? spec.query : []
  const whole = validating(spec.input)
  const part = validating(rest === 'query' ? listed(spec.query) : spec.body === '*' ? undefined : spec.body)
  /** A declared body is sent even if it is empty. */
  const hasBody = spec.input !== undefined || (spec.body !== undefined && spec.body !== '*')
  const reserved = names.length + queryNames.length > 0

  const finish = (params: Values, query: Values, left: Values): RequestInput => {
    if (rest === 'query') return new RequestInput(params, left, undefined, undefined)
    return new RequestInput(params, query, undefined, hasBody || Object.keys(left).length > 0 ? left : undefined)
  }
  /** Also takes what stood before a schema: one may drop what it does not know, path names among it. */
  const split = (input: unknown, check: Check, raw = input): RequestInput | Promise<RequestInput> => {
    const value = input ?? none
    if (Object.getPrototypeOf(value) !== Object.prototype && !isRecord(value)) {
      if (rest === 'query' || reserved) throw misshapen(value, origin)
      return then(part ? check(part, value) : value, (body) => new RequestInput(none, none, undefined, body))
    }
    const params: Parts = {}
    const query: Parts = {}
    let left = value as Parts
    if (reserved) {
      left = {}
      for (const name of Object.keys(value)) {
        const member = (value as Values)[name]
        // A plain assignment to this name would set the prototype.
        if (name === '__proto__') Object.defineProperty(left, name, { value: member, enumerable: true })
        else if (names.includes(name)) params[name] = member
        else if (queryNames.includes(name)) query[name] = member
        else left[name] = member
      }
      if (raw !== input) restore(params, names, raw)
    }
    if (part !== undefined) {
      const checked = check(part, left)
      if (checked instanceof Promise) {
        const kept = snapshot([params, query]) as [Values, Values]
        return checked.then((done) => finish(...kept, done))
      }
      left = checked as Parts
    }
    // What nearly every input is: no step more on its way.
    if (rest === 'query') return new RequestInput(params, left, undefined, undefined)
    return finish(params, query, left)
  }
  if (!whole) return split
  return (input, check) => then(check(whole, input ?? none), (value) => split(value, check, input ?? none))
}

/** `{ params, query, headers, body }` as it is, each part validated by its schema. */
function nestedReader({ query, headers, body }: InputSpec, origin: ErrorOrigin): ReadInput {
  const schemas = [validating(listed(query)), validating(headers), validating(body === '*' ? undefined : body)]
  return (given, check) => {
    const input = given ?? none
    if (!isRecord(input)) throw refusal('the input is { params, query, headers, body }', origin)
    const checked = parts.map((part, index) => {
      const schema = schemas[index]
      // A part may be left out where every name in it is optional: then it stands for an empty one.
      return schema ? check(schema, part in input ? input[part] : {}) : input[part]
    })
    const params = { ...(input.params as Values) }
    const make = ([query, headers, body]: unknown[]) =>
      new RequestInput(params, (query ?? none) as object, headers as Values | undefined, body)
    if (!checked.some((value) => value instanceof Promise)) return make(checked)
    // What has no schema is kept as it was passed.
    return Promise.all(checked.map(snapshot)).then(make)
  }
}

const parts = ['query', 'headers', 'body'] as const

function listed(query: InputSpec['query']): Schema<any, any> | undefined {
  return Array.isArray(query) ? undefined : (query as Schema<any, any> | undefined)
}

/** Goes on at once where the value is there at once. */
function then<T>(value: unknown, go: (value: any) => T | Promise<T>): T | Promise<T> {
  return value instanceof Promise ? value.then(go) : go(value)
}

function misshapen(value: unknown, origin: ErrorOrigin): Error {
  const what = Array.isArray(value) ? 'lists' : 'texts, bytes and files'
  return refusal(`the input is an object of names; for ${what} declare shape: 'nested'`, origin)
}

function isRecord(value: unknown): value is Values {
  if (typeof value !== 'object' || value === null) return false
  if (Object.getPrototypeOf(value) === Object.prototype) return true
  return !Array.isArray(value) && !isRawBody(value) && lostKind(value) === undefined
}

function restore(params: Record<string, unknown>, names: readonly string[], raw: unknown): void {
  for (const name of names)
    if (!Object.hasOwn(params, name) && Object.hasOwn(raw as object, name)) params[name] = (raw as Values)[name]
}
