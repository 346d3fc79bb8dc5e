import type { Call } from '../../src/core/call/call.ts'
import {
  type Check,
  defineOperation,
  type Operation,
  type OperationInfo,
  type ResumeSpec,
} from '../../src/core/call/operation.ts'
import type { Reply } from '../../src/core/call/reply.ts'
import { type Schema, validating } from '../../src/core/call/schema.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import {
  flag,
  has,
  type OptionRules,
  object,
  oneOf,
  type RulesOf,
  takes,
  text,
  wrongOption,
} from '../../src/core/options.ts'
import type { AnyContinuation, AnyStop } from '../../src/core/resume/continuation.ts'
import { type OpeningOptions, openingOption } from '../../src/core/resume/options.ts'
import type { OverflowPolicy } from '../../src/core/stream/overflow.ts'
import { isRecord } from '../../src/core/tag.ts'
import { idempotencyRule, operationRules, pick, schemaRule } from '../shared/option-rules.ts'
import { type GraphQLKind, type PreparedDocument, prepareDocument } from './document.ts'
import type { HttpGraphQLTransport } from './exchange.ts'
import type { GraphQLFeature } from './feature.ts'
import type { DocumentPager } from './pages.ts'
import type { GraphQLResult } from './response.ts'
import type { ErrorPolicy, QuerySpec } from './types.ts'

/** What the transport knows of an operation. */
export interface GraphQLBinding {
  /** The document as it was passed: it may have more to it than its text. */
  readonly source: unknown
  readonly document: PreparedDocument
  readonly policy: ErrorPolicy
  readonly extensions?: Readonly<Record<string, unknown>> | undefined
  /** Of a subscription's receive queue. */
  readonly overflow?: OverflowPolicy | undefined
  readonly maxQueued?: number | undefined
  /** Instead of the transport's. */
  readonly features?: readonly GraphQLFeature[] | undefined
  /** Opens a subscription. Comes with the operation, so that who has none carries no socket. */
  readonly open?: ((call: Call, http: HttpGraphQLTransport) => Promise<Reply>) | undefined
}

/** What only streams need: subscriptions, and results that grow. */
export interface Subscribing {
  readonly define: (info: OperationInfo, spec: AnySpec) => Operation<any, any>
  readonly open: GraphQLBinding['open']
  /** What its options may be, beside those of every operation. */
  readonly rules: OptionRules
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

/** What the functions make that are exported beside the transport. */
export const featuresRule = /* @__PURE__ */ takes(
  'a list of features',
  (value) => Array.isArray(value) && value.every(has('ask')),
)

/** Variables that hold a stream, which can be sent only once. */
export const onceOnly = /* @__PURE__ */ new WeakSet<object>()

const rules: RulesOf<Omit<AnySpec, (typeof ofStreams)[number]>> = {
  ...operationRules,
  opening: openingOption,
  errorPolicy: /* @__PURE__ */ oneOf('none', 'all', 'ignore'),
  operationName: text,
  extensions: /* @__PURE__ */ object('an object'),
  features: featuresRule,
  idempotent: flag,
  idempotency: idempotencyRule,
  idempotencyScope: text,
  variables: schemaRule,
  output: schemaRule,
  paginate: /* @__PURE__ */ takes('what relayPages({ … }) makes', /* @__PURE__ */ has('of')),
}

/** What only subscriptions have. */
const ofStreams = ['resume', 'stop', 'gaps', 'overflow', 'maxQueued'] as const

function wrongOwner(spec: AnySpec, kind: GraphQLKind): string | undefined {
  if (spec.paginate && kind !== 'query') return "'paginate' is for query()"
  const name = kind !== 'subscription' && ofStreams.find((each) => spec[each] !== undefined)
  return name ? `'${name}' is for subscription()` : undefined
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
  const wrong = wrongOwner(spec, kind) ?? wrongOption(spec, { ...rules, ...subscribing?.rules })
  if (wrong) throw new TypeError(`${kind}(): ${wrong}`)
  const document = prepareDocument(source, spec.operationName, kind)
  if (document.kind !== kind) {
    const name = document.operationName ? ` '${document.operationName}'` : ''
    throw new TypeError(`${kind}() was given a ${document.kind}${name}: make it with ${document.kind}()`)
  }
  const { errorPolicy: policy = 'none', variables, output, via = 'graphql' } = spec
  const { open, define = defineOperation } = subscribing ?? {}
  const schema = validating(variables)
  const binding: GraphQLBinding = { ...spec, source, document, policy, open }
  const name = `${kind} ${document.operationName ?? '(anonymous)'}`
  const info: OperationInfo = {
    name,
    protocol: 'graphql',
    via,
    kind: subscribing ? 'server_stream' : 'unary',
    isIdempotent: spec.idempotent ?? kind !== 'mutation',
    isReplayable: (input: object) => !onceOnly.has(input),
    binding,
    ...pick(spec, ['idempotency', 'idempotencyScope', 'retry', 'auth', 'validate', 'gaps', 'opening']),
    ...(subscribing && { isResumable: true }),
    ...(spec.paginate && { paginate: (spec.paginate as unknown as DocumentPager).of(document, policy) }),
    // What lacks fields is known by itself, and not by a copy.
    isShareable: policy === 'none' ? undefined : false,
    encodeInput(input, check) {
      if ((input ?? null) !== null && !isRecord(input))
        throw refusal("variables are an object such as { id: '42' }", { operation: info })
      return schema ? check(schema, input) : input
    },
    ...(validating(output) && {
      decodeOutput: (message: unknown, check: Check) => checkData(output as Schema, policy, message, check),
    }),
  }
  return define(info, spec)
}

/** What the caller gets of a result that the policy lets pass. */
export function messageOf(result: GraphQLResult, policy: ErrorPolicy): unknown {
  const data = result.data ?? null
  if (policy === 'all') {
    const { errors = none, extensions } = result
    if (result.errors) incomplete.add(errors)
    return { data, errors, ...(extensions && { extensions }) }
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
  if (isIncomplete(message)) return message
  if (policy !== 'all') return check(schema, message)
  const { data, ...rest } = message as { readonly data: unknown }
  return after(check(schema, data), (checked) => ({ data: checked, ...rest }))
}

function after(value: unknown, then: (value: unknown) => unknown): unknown {
  return value instanceof Promise ? value.then(then) : then(value)
}
