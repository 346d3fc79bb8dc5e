import {
  type Check,
  defineOperation,
  type Operation,
  type OperationInfo,
  type ResumeSpec,
} from '../../src/core/call/operation.ts'
import { type Schema, validating } from '../../src/core/call/schema.ts'
import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { anything, flag, has, object, oneOf, type RulesOf, takes, text, wrongOption } from '../../src/core/options.ts'
import type { AnyContinuation, AnyStop } from '../../src/core/resume/continuation.ts'
import { type OpeningOptions, openingOption } from '../../src/core/resume/options.ts'
import type { OverflowPolicy } from '../../src/core/stream/overflow.ts'
import { idempotencyRule, operationRules, pick, schemaRule } from '../shared/option-rules.ts'
import { type GraphQLKind, type PreparedDocument, prepareDocument } from './document.ts'
import type { DocumentPager } from './pages.ts'
import type { GraphQLResult } from './response.ts'
import type { Subscriptions, SubscriptionsOptions } from './subscriptions.ts'
import type { ErrorPolicy, QuerySpec } from './types.ts'

/** What the transport knows of an operation. */
export interface GraphQLBinding {
  readonly document: PreparedDocument
  readonly policy: ErrorPolicy
  readonly extensions: Readonly<Record<string, unknown>> | undefined
  /** Of a subscription's receive queue. */
  readonly overflow?: OverflowPolicy | undefined
  readonly maxQueued?: number | undefined
  /** Comes with the operation, so that who has no subscriptions carries no socket. */
  readonly makeSubscriptions?: MakeSubscriptions | undefined
}

/** Makes what carries the subscriptions of a transport. */
export type MakeSubscriptions = (options: SubscriptionsOptions) => Pick<Subscriptions, 'open' | 'close'>

/** What only subscriptions need. */
export interface Subscribing {
  readonly define: (info: OperationInfo, spec: AnySpec) => Operation<any, any>
  readonly makeSubscriptions: MakeSubscriptions
  /** What its options may be, beside those of every operation. */
  readonly rules: RulesOf<Pick<AnySpec, StreamOption>>
}

/** Every option of every kind of operation. */
interface AnySpec extends QuerySpec {
  readonly variables?: Schema<any, any>
  readonly output?: Schema<any, any>
  readonly resume?: ResumeSpec | AnyContinuation
  readonly stop?: AnyStop
  readonly gaps?: 'fail' | 'yield'
  readonly opening?: OpeningOptions
  readonly overflow?: OverflowPolicy
  readonly maxQueued?: number
}

const rules: RulesOf<AnySpec> = {
  via: operationRules.via,
  auth: operationRules.auth,
  opening: openingOption,
  errorPolicy: /* @__PURE__ */ oneOf('none', 'all', 'ignore'),
  operationName: text,
  extensions: /* @__PURE__ */ object('an object'),
  idempotent: flag,
  idempotency: idempotencyRule,
  idempotencyScope: text,
  retry: operationRules.retry,
  validate: operationRules.validate,
  variables: schemaRule,
  output: schemaRule,
  paginate: /* @__PURE__ */ takes('what relayPages({ … }) makes', /* @__PURE__ */ has('of')),
  resume: anything,
  stop: anything,
  gaps: anything,
  overflow: anything,
  maxQueued: anything,
}

const streamOptions = ['resume', 'stop', 'gaps', 'overflow', 'maxQueued'] as const
type StreamOption = (typeof streamOptions)[number]

/** What only streams have. */
function notASubscription(spec: AnySpec): string | undefined {
  const name = streamOptions.find((each) => spec[each] !== undefined)
  return name && `'${name}' is for subscription()`
}

/**
 * Makes an operation of a document.
 *
 * @throws {TypeError} when the document holds no operation of this kind.
 */
export function graphqlOperation(
  kind: GraphQLKind,
  source: unknown,
  spec: AnySpec = {},
  subscribing?: Subscribing,
): Operation<any, any> {
  const wrong =
    wrongOption(spec, { ...rules, ...subscribing?.rules }) ??
    (subscribing ? undefined : notASubscription(spec)) ??
    (spec.paginate && kind !== 'query' ? "'paginate' is for query()" : undefined)
  if (wrong) throw new TypeError(`${kind}(): ${wrong}`)
  const document = prepareDocument(source, spec.operationName)
  if (document.kind !== kind) {
    const name = document.operationName ? ` '${document.operationName}'` : ''
    throw new TypeError(`${kind}() was given a ${document.kind}${name}: make it with ${document.kind}()`)
  }
  const { errorPolicy: policy = 'none', extensions, variables, output, via = 'graphql', overflow, maxQueued } = spec
  const { makeSubscriptions, define = defineOperation } = subscribing ?? {}
  const binding: GraphQLBinding = { document, policy, extensions, overflow, maxQueued, makeSubscriptions }
  const name = `${kind} ${document.operationName ?? '(anonymous)'}`
  const info: OperationInfo = {
    name,
    protocol: 'graphql',
    via,
    kind: subscribing ? 'server_stream' : 'unary',
    isIdempotent: spec.idempotent ?? kind !== 'mutation',
    binding,
    ...pick(spec, ['idempotency', 'idempotencyScope', 'retry', 'auth', 'validate', 'gaps', 'opening']),
    ...(subscribing && { isResumable: true }),
    ...(spec.paginate && { paginate: (spec.paginate as unknown as DocumentPager).of(document, policy) }),
    // What lacks fields is known by itself, and not by a copy.
    isShareable: policy === 'none' ? undefined : false,
    encodeInput: checkVariables(validating(variables) && (variables as Schema), {
      operation: { name, protocol: 'graphql', via },
    }),
    ...(validating(output) && {
      decodeOutput: (message: unknown, check: Check) => checkData(output as Schema, policy, message, check),
    }),
  }
  return define(info, spec)
}

/** Variables are an object, or nothing; only a caller without types can pass anything else. */
function checkVariables(schema: Schema | undefined, origin: ErrorOrigin): NonNullable<OperationInfo['encodeInput']> {
  return (input, check) => {
    if (input !== undefined && input !== null && (typeof input !== 'object' || Array.isArray(input))) {
      throw refusal("variables are an object such as { id: '42' }", origin)
    }
    return schema ? check(schema, input) : input
  }
}

/** What the caller gets of a result that the policy lets pass. */
export function messageOf(result: GraphQLResult, policy: ErrorPolicy): unknown {
  const data = result.data ?? null
  if (policy === 'all') {
    const { errors = none, extensions } = result
    if (result.errors) incomplete.add(errors)
    return extensions ? { data, errors, extensions } : { data, errors }
  }
  if (result.errors && data) incomplete.add(data)
  return data
}

/** Whether a message (or, by the policy 'all', a result) lacks something beside errors. */
export function isIncomplete(message: unknown): boolean {
  if (message === null) return true
  return incomplete.has(message as object) || incomplete.has((message as { readonly errors?: object }).errors ?? none)
}

const none: readonly never[] = /* @__PURE__ */ Object.freeze([])
/** Data (or its errors) of responses with errors: it lacks fields, so no schema can hold for it. */
const incomplete = new WeakSet<object>()

function checkData(schema: Schema, policy: ErrorPolicy, message: unknown, check: Check): unknown {
  if (policy === 'all') {
    const { data, errors, ...rest } = message as { data: unknown; errors: object }
    if (data === null || incomplete.has(errors)) return message
    return after(check(schema, data), (checked) => ({ data: checked, errors, ...rest }))
  }
  return message === null || incomplete.has(message as object) ? message : check(schema, message)
}

function after(value: unknown, then: (value: unknown) => unknown): unknown {
  return value instanceof Promise ? value.then(then) : then(value)
}
