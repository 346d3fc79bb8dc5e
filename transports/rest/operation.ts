import { byteStream } from '#platform'
import type { Call } from '../../src/core/call/call.ts'
import { defineOperation, type Operation, type PagerInfo } from '../../src/core/call/operation.ts'
import type { Reply } from '../../src/core/call/reply.ts'
import { checking } from '../../src/core/call/schema.ts'
import type { HttpEngine, HttpRequest } from '../http/contract.ts'
import { type encodeBody, isReplayableBody } from '../http/encode-body.ts'
import { headersOf, inputReader, type ReadInput, type RequestParts, restPart } from '../http/input.ts'
import type { ByteStreamResponse, ResponseKind } from '../http/input-types.ts'
import { PathTemplate, type UrlTemplate } from '../http/path.ts'
import type { encodeQuery } from '../http/query.ts'
import { type AnySpec, checkSpec } from '../http/spec.ts'
import type { JudgeFailure } from './may-be-done.ts'
import type { RestBuilder } from './types.ts'

/** What the transport needs to know of an operation. */
export interface RestBinding {
  readonly method: string
  readonly template: UrlTemplate
  /** How a reply is read: as the operation names it; `declared`: an output without a name, JSON or a codec; `any`: by content type. */
  readonly reads: Exclude<ResponseKind, object | 'stream'> | 'declared' | 'any'
  /** An output is declared that nothing at run time can hold an empty reply against. */
  readonly isContentNeeded: boolean
  /** For `at()`, which validates nothing else. */
  readonly bodySchema: AnySpec['body']
  readonly contentType: string | undefined
  /** Where it says something else than the transport. */
  readonly spec?: Pick<AnySpec, 'accept' | 'redirect' | 'compress' | 'version'>
  /** Where neither operation, transport nor call says what they accept. */
  readonly defaultAccept: string
  /** How its reply is opened, where that is a stream of messages. */
  readonly open?: OpenReply | undefined
  /** Of an operation that a description for run time describes. */
  readonly writer?: RequestWriter | undefined
  /** What its errors mean beside their status. */
  readonly judge?: JudgeFailure | undefined
}

/** How the request of a described operation is written, instead of by the rules of its method. */
export interface RequestWriter {
  readonly template: PathTemplate
  /** Of the body, where the operation names none. */
  readonly contentType: string | undefined
  readonly encodeInput: ReadInput
  /** Instead of {@link encodeQuery}. */
  readonly writeQuery: typeof encodeQuery | undefined
  /** Instead of {@link encodeBody}. */
  readonly writeBody: typeof encodeBody | undefined
}

/** Sends a request whose reply is read as it comes. */
export type OpenReply = (engine: HttpEngine, request: HttpRequest, call: Call, limits: ReplyLimits) => Promise<Reply>

/** What a value of `response` is beside its kind. */
interface OpenedResponse {
  readonly open: OpenReply
  /** The call is bounded up to its opening. */
  readonly isResumable?: true
}

/** What a transport says of replies. */
export interface ReplyLimits {
  readonly maxBodyBytes: number
}

const keyed: readonly string[] = ['POST', 'PATCH']
/** Anything else is taken, too: a problem+json, or a gateway's page, says what went wrong. */
const accepts: Readonly<Record<Exclude<ResponseKind, object | 'stream'>, string>> = {
  json: 'application/json, */*;q=0.5',
  text: 'text/*, */*;q=0.5',
  bytes: '*/*',
}

/** Makes the builder of one method; without effects, so that what is not used is left out of a bundle. */
export const builder =
  (name: string, method: string, judge?: JudgeFailure): RestBuilder =>
  (path, spec) =>
    defineRest(name, method, path, spec, { judge })

/** Makes the operation of a builder's arguments. */
export function defineRest<O extends Operation<any, any>>(
  name: string,
  method: string,
  path: string,
  spec: AnySpec = {},
  { writer, judge }: Pick<RestBinding, 'writer' | 'judge'> = {},
): O {
  const template = writer?.template ?? new PathTemplate(path)
  checkSpec(name, path, method, spec)
  const { via = 'rest', output, errors, paginate, shape, retry, auth, idempotency, validate } = spec
  const isIdempotent = spec.idempotent ?? !keyed.includes(method)
  const operation = { name: `${method} ${path}`, protocol: 'rest', via, kind: 'unary' } as const
  const response = spec.response === 'stream' ? byteStream : spec.response
  if (response === undefined && spec.response === 'stream')
    throw new TypeError(`${name}('${path}', …): on a page, write response: byteStream, imported from polywire/rest`)
  const reader = typeof response === 'object' ? (response as ByteStreamResponse & OpenedResponse) : undefined
  const decodeOutput = reader ? undefined : checking(output)
  const binding: RestBinding = {
    method,
    template,
    reads: typeof response === 'string' ? response : output ? 'declared' : 'any',
    isContentNeeded: output !== undefined && !decodeOutput && validate === undefined,
    bodySchema: spec.body,
    contentType: spec.contentType ?? writer?.contentType,
    spec,
    defaultAccept: typeof response === 'object' ? '*/*' : accepts[response ?? 'json'],
    open: reader?.open,
    writer,
    judge,
  }
  return defineOperation<O>({
    ...operation,
    ...(reader?.isResumable && { isOpenEnded: true as const }),
    isIdempotent,
    isKeyedByDefault: !isIdempotent && keyed.includes(method),
    binding,
    encodeInput: writer?.encodeInput ?? inputReader(method, template.names, spec, { operation }),
    isReplayable: (input: RequestParts) => isReplayableBody(input.body, binding.contentType),
    decodeOutput,
    errors,
    paginate: shape === 'nested' ? (paginate as PagerInfo | undefined)?.nested(restPart(method, spec)) : paginate,
    retry,
    auth,
    headersOf: shape === 'nested' || writer ? headersOf : undefined,
    idempotency,
    idempotencyScope: spec.idempotencyScope,
    validate,
  })
}
