import type { Call } from '../../src/core/call/call.ts'
import { defineOperation, type Kind, type Operation, type OperationInfo } from '../../src/core/call/operation.ts'
import type { Reply } from '../../src/core/call/reply.ts'
import { flag, object, oneOf, type RulesOf, text, wrongOption } from '../../src/core/options.ts'
import { openingOption } from '../../src/core/resume/options.ts'
import type { Streaming } from '../../src/core/stream/streaming.ts'
import { declare, idempotencyRule, operationRules, resumeOf, resumeRule, stopRule } from '../shared/option-rules.ts'
import type { DescMethod, DescService } from './peer-protobuf.ts'
import type { GrpcWebWire } from './request.ts'
import type { GrpcStreamTimes } from './stream.ts'
import type { BidiStreamSpec, MethodSpec, ServerStreamSpec, UnarySpec } from './types.ts'

/** What the transports know of an operation. */
export interface RpcBinding {
  readonly method: DescMethod
  /** What streams need, brought along by `rpc` and `service`. */
  readonly streams: GrpcStreams | undefined
}

/** What the streams of a program need: of the core, and to be sent by. */
export interface GrpcStreams {
  readonly server_stream: Streaming
  readonly bidi_stream: Streaming
  sendFramed(call: Call, wire: GrpcWebWire, input: unknown, times: GrpcStreamTimes): Promise<Reply>
}

/** The method of a call; only calls of operations made by `rpc` come here. */
export function methodOf(call: Call): DescMethod {
  return (call.operation.binding as RpcBinding).method
}

/** What a server stream is sent by; only operations made by `rpc` are streams. */
export function streamsOf(call: Call): GrpcStreams {
  return (call.operation.binding as RpcBinding).streams as GrpcStreams
}

/** Every option of every kind of method. */
type AnySpec = MethodSpec & UnarySpec & ServerStreamSpec<any, any> & BidiStreamSpec

const kinds: Readonly<Record<DescMethod['methodKind'], Kind>> = {
  unary: 'unary',
  server_streaming: 'server_stream',
  client_streaming: 'client_stream',
  bidi_streaming: 'bidi_stream',
}
/** google.protobuf.MethodOptions.IdempotencyLevel: 1 is NO_SIDE_EFFECTS, 2 is IDEMPOTENT. */
const idempotentLevels: readonly number[] = [1, 2]
const rules: RulesOf<AnySpec> = {
  via: operationRules.via,
  retry: operationRules.retry,
  auth: operationRules.auth,
  idempotent: flag,
  idempotency: idempotencyRule,
  idempotencyScope: text,
  paginate: /* @__PURE__ */ object('what cursorPages({ … }) or its like makes'),
  resume: resumeRule,
  stop: stopRule,
  cursors: /* @__PURE__ */ oneOf('opaque', 'offset'),
  gaps: /* @__PURE__ */ oneOf('fail', 'yield'),
  opening: openingOption,
  sendQueue: /* @__PURE__ */ object('an object such as { maxMessages: 100 }'),
}

/** Options that one kind of method has. */
const onlyOf = {
  paginate: 'unary',
  resume: 'server_stream',
  stop: 'server_stream',
  cursors: 'server_stream',
  gaps: 'server_stream',
  sendQueue: 'bidi_stream',
} as const

/** A transport that carries bidi streams brings along what they need of the core: most programs have none. */
export interface Duplexing {
  readonly duplexing?: Streaming
}

/**
 * Makes an operation of a method.
 *
 * @param streams - undefined where the program has unary methods alone.
 * @throws {TypeError} when it is given anything else, or a spec that fits no such method.
 */
export function rpcOperation(
  method: DescMethod,
  spec: AnySpec = {},
  streams: GrpcStreams | undefined = undefined,
): Operation<any, any> {
  const kind = kinds[method?.methodKind]
  if (kind === undefined)
    throw new TypeError('rpc(…) takes a method of a generated service: rpc(OrderService.method.place)')
  if (kind !== 'unary' && !streams) throw new TypeError(`unaryRpc(${method.name}): a ${kind} is declared by rpc(…)`)
  const name = `${method.parent.typeName}/${method.name}`
  checkSpec(name, kind, spec)
  const { via = 'grpc-web', idempotent, resume, stop: _stop, ...passed } = spec
  const binding: RpcBinding = { method, streams }
  const info: OperationInfo = {
    name,
    protocol: 'grpc-web',
    via,
    kind,
    isIdempotent: idempotent ?? idempotentLevels.includes(method.idempotency),
    isShareable: method.idempotency === 1,
    binding,
    ...(kind === 'client_stream' && { isReplayable: Array.isArray }),
    ...(streams && (kind === 'server_stream' || kind === 'bidi_stream') && { streaming: streams[kind] }),
    ...resumeOf(resume),
    ...passed,
  }
  return defineOperation(declare(info, spec))
}

/** Makes operations of all methods of a service. @throws {TypeError} when it is given anything else. */
export function serviceOperations(
  service: DescService,
  spec: MethodSpec | undefined,
  streams: GrpcStreams,
): Record<string, Operation<any, any>> {
  if (service?.kind !== 'service') throw new TypeError('service(…) takes a generated service: service(OrderService)')
  const operations: Record<string, Operation<any, any>> = {}
  for (const [name, method] of Object.entries(service.method)) operations[name] = rpcOperation(method, spec, streams)
  return operations
}

function checkSpec(name: string, kind: Kind, spec: AnySpec): void {
  const wrong = wrongOption(spec, rules)
  if (wrong) throw new TypeError(`rpc(${name}): ${wrong}`)
  for (const key in onlyOf) {
    const of = onlyOf[key as keyof typeof onlyOf]
    if (spec[key as keyof AnySpec] !== undefined && kind !== of)
      throw new TypeError(`rpc(${name}): '${key}' is for ${of}, and this method is a ${kind}`)
  }
}
