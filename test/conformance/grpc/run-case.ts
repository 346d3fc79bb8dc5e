import { setTimeout as delay } from 'node:timers/promises'
import { create, createRegistry, type DescMethod } from '@bufbuild/protobuf'
import { type Any, AnySchema, anyUnpack } from '@bufbuild/protobuf/wkt'
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node'
import { type CallOptions, createClient, HeaderMap, type Interceptor, isCallError } from 'polywire'
import { connectGet, connectTransport, type GrpcTransport, grpcDetails, grpcWebTransport, rpc } from 'polywire/grpc-web'
import { Agent, fetch } from 'undici'
import type { ClientCompatRequest } from './gen/connectrpc/conformance/v1/client_compat_pb.js'
import { ClientResponseResultSchema } from './gen/connectrpc/conformance/v1/client_compat_pb.js'
import { Code, Codec, HTTPVersion, Protocol, StreamType } from './gen/connectrpc/conformance/v1/config_pb.js'
import * as service from './gen/connectrpc/conformance/v1/service_pb.js'
import { ConformanceService, type Header } from './gen/connectrpc/conformance/v1/service_pb.js'

/** Which of our ways to speak is tested. */
export type Carrier = 'own' | 'own-by-fetch' | 'connect-web' | 'connect-node'

const registry = createRegistry(service.file_connectrpc_conformance_v1_service)

/** What came back so far; an interceptor notes headers and trailers, which streams do not show. */
class Outcome {
  headers = HeaderMap.empty
  trailers = HeaderMap.empty
  readonly payloads: any[] = []
  unsent = 0
  error: unknown

  readonly interceptor: Interceptor = async (call, next) => {
    const reply = await next(call)
    this.headers = reply.headers
    if (reply.kind === 'unary') this.trailers = reply.trailers
    else void reply.trailers.then((trailers) => (this.trailers = trailers))
    return reply
  }
}

/** Makes one call as the suite asks for it. */
export async function runCase(request: ClientCompatRequest, carrier: Carrier) {
  const outcome = new Outcome()
  const client = clientOf(request, carrier, outcome)
  try {
    await callOf(request)(request, client, outcome)
  } catch (error) {
    outcome.error = error
  } finally {
    await client.close()
  }
  return result(outcome)
}

function clientOf(request: ClientCompatRequest, carrier: Carrier, outcome: Outcome): AnyClient {
  return createClient({
    transports: { 'grpc-web': carrier === 'connect-node' ? nodeTransport(request) : webTransport(request, carrier) },
    retry: false,
    timeoutMs: Number.POSITIVE_INFINITY,
    interceptors: [outcome.interceptor],
  }) as never
}

function webTransport(request: ClientCompatRequest, carrier: 'own' | 'own-by-fetch' | 'connect-web'): GrpcTransport {
  const isH2 = request.httpVersion === HTTPVersion.HTTP_VERSION_2
  const isTls = request.serverTlsCert.length > 0
  // Plain HTTP/2, which undici has, is not in its types.
  const http2 = { allowH2: isH2, useH2c: isH2 && !isTls }
  const dispatcher = (isH2 || isTls) && new Agent({ ...http2, connect: tlsOf(request) })
  return grpcWebTransport({
    baseUrl: baseUrlOf(request),
    framing: carrier === 'connect-web' ? 'connect-web' : 'own',
    useBinaryFormat: request.codec === Codec.PROTO,
    jsonOptions: { registry },
    maxMessageBytes: request.messageReceiveLimit || undefined,
    ...(request.protocol === Protocol.CONNECT && { get: connectGet() }),
    ...(dispatcher && carrier !== 'own-by-fetch' && { dispatcher }),
    // As a page has it, but for the certificates of the suite.
    ...(carrier === 'own-by-fetch' && {
      http: (url, init) => fetch(url as string, { ...init, ...(dispatcher && { dispatcher }) } as never) as never,
    }),
  })
}

function nodeTransport(request: ClientCompatRequest): GrpcTransport {
  const options = {
    baseUrl: baseUrlOf(request),
    useBinaryFormat: request.codec === Codec.PROTO,
    jsonOptions: { registry },
    httpVersion: request.httpVersion === HTTPVersion.HTTP_VERSION_2 ? '2' : '1.1',
    nodeOptions: tlsOf(request),
    ...(request.messageReceiveLimit && { readMaxBytes: request.messageReceiveLimit }),
  } as const
  if (request.protocol === Protocol.CONNECT)
    return connectTransport({ transport: createConnectTransport({ ...options, useHttpGet: request.useGetHttpMethod }) })
  const make = request.protocol === Protocol.GRPC ? createGrpcTransport : createGrpcWebTransport
  return connectTransport({ transport: make(options) })
}

function baseUrlOf({ host, port, serverTlsCert }: ClientCompatRequest): string {
  return `${serverTlsCert.length > 0 ? 'https' : 'http'}://${host}:${port}`
}

/** Whom it trusts, and what it proves itself by. */
function tlsOf({ serverTlsCert, clientTlsCreds }: ClientCompatRequest) {
  if (serverTlsCert.length === 0) return {}
  const ca = Buffer.from(serverTlsCert)
  return clientTlsCreds ? { ca, cert: Buffer.from(clientTlsCreds.cert), key: Buffer.from(clientTlsCreds.key) } : { ca }
}

/** The suite names its methods at run time. */
interface AnyClient {
  call(...args: unknown[]): any
  close(): Promise<void>
}
type Run = (request: ClientCompatRequest, client: AnyClient, outcome: Outcome) => Promise<void>

function callOf({ streamType }: ClientCompatRequest): Run {
  if (streamType === StreamType.UNARY) return unary
  if (streamType === StreamType.SERVER_STREAM) return serverStream
  return streamType === StreamType.CLIENT_STREAM ? clientStream : bidiStream
}

const unary: Run = async (request, client, outcome) => {
  const { options, cancelLater } = optionsOf(request)
  const [message] = messagesOf(request)
  const pending = client.call(operationOf(request), message, options)
  cancelLater()
  outcome.payloads.push((await pending).payload)
}

const serverStream: Run = async (request, client, outcome) => {
  const { options, controller, cancelLater, afterResponses } = optionsOf(request)
  const [message] = messagesOf(request)
  const stream = client.call(operationOf(request), message, options)
  const reading = readAll(stream, outcome, controller, afterResponses)
  cancelLater()
  await reading
}

const clientStream: Run = async (request, client, outcome) => {
  const { options, cancelLater, cancelBefore } = optionsOf(request)
  const messages = messagesOf(request)
  async function* source() {
    for (const message of messages) {
      await delay(request.requestDelayMs)
      yield message
    }
    if (cancelBefore()) await new Promise(() => {})
    cancelLater()
  }
  outcome.payloads.push((await client.call(operationOf(request), source(), options)).payload)
}

const bidiStream: Run = async (request, client, outcome) => {
  const { options, controller, cancelLater, cancelBefore, afterResponses } = optionsOf(request)
  const stream = client.call(operationOf(request), undefined, options)
  const isFullDuplex = request.streamType === StreamType.FULL_DUPLEX_BIDI_STREAM
  const messages = messagesOf(request)
  outcome.unsent = messages.length
  for (const message of messages) {
    await delay(request.requestDelayMs)
    // What ends the stream is told where it is read.
    const isSent = await stream.send(message).then(
      () => true,
      () => false,
    )
    if (!isSent) break
    outcome.unsent--
    if (isFullDuplex && !(await readOne(stream, outcome, controller, afterResponses))) break
  }
  cancelBefore()
  void stream.end().catch(() => {})
  cancelLater()
  await readAll(stream, outcome, controller, afterResponses)
}

async function readOne(stream: any, outcome: Outcome, controller: AbortController, limit: number): Promise<boolean> {
  const { value, done } = await stream.next()
  if (done) return false
  outcome.payloads.push(value.payload)
  if (outcome.payloads.length === limit) controller.abort(new DOMException('canceled', 'AbortError'))
  return true
}

async function readAll(stream: any, outcome: Outcome, controller: AbortController, limit: number): Promise<void> {
  while (await readOne(stream, outcome, controller, limit));
  await delay(0)
}

function optionsOf({ requestHeaders, timeoutMs, streamType, cancel }: ClientCompatRequest) {
  const controller = new AbortController()
  const timing = cancel?.cancelTiming
  const abort = () => controller.abort(new DOMException('canceled', 'AbortError'))
  const headers = Object.fromEntries(requestHeaders.map(({ name, value }) => [name, value.join(', ')]))
  const isUnary = streamType === StreamType.UNARY || streamType === StreamType.CLIENT_STREAM
  const bound = timeoutMs === undefined ? {} : isUnary ? { timeoutMs } : { deadline: Date.now() + timeoutMs }
  const options: CallOptions = { headers, signal: controller.signal, ...bound }
  return {
    options,
    controller,
    afterResponses: timing?.case === 'afterNumResponses' ? timing.value : -1,
    cancelLater: () => void (timing?.case === 'afterCloseSendMs' && setTimeout(abort, timing.value)),
    cancelBefore: () => {
      if (timing?.case === 'beforeCloseSend') abort()
      return timing?.case === 'beforeCloseSend'
    },
  }
}

function operationOf({ method }: ClientCompatRequest): any {
  const name = `${method?.[0]?.toLowerCase()}${method?.slice(1)}`
  return rpc((ConformanceService.method as Record<string, DescMethod>)[name] as never)
}

function messagesOf({ requestMessages }: ClientCompatRequest): any[] {
  return requestMessages.map((each) => anyUnpack(each, registry))
}

function result({ error, headers, trailers, payloads, unsent }: Outcome) {
  const failed = isCallError(error) ? error : undefined
  return create(ClientResponseResultSchema, {
    payloads,
    responseHeaders: toHeaders(failed?.headers ?? headers),
    responseTrailers: toHeaders(failed?.trailers ?? trailers),
    numUnsentRequests: unsent,
    ...(error !== undefined && { error: toError(error) }),
  })
}

function toError(error: unknown) {
  if (!isCallError(error)) {
    const isAbort = (error as Error)?.name === 'AbortError'
    return { code: isAbort ? Code.CANCELED : Code.UNKNOWN, message: String(error) }
  }
  const code = Code[error.code.toUpperCase() as keyof typeof Code]
  const details: Any[] = grpcDetails(error).map(({ type, bytes }) =>
    create(AnySchema, { typeUrl: `type.googleapis.com/${type}`, value: bytes }),
  )
  return { code, message: error.serverMessage ?? '', details }
}

function toHeaders(headers: HeaderMap): Omit<Header, '$typeName'>[] {
  return [...headers].map(([name, value]) => ({ name, value: value.split(',').map((each) => each.trim()) }))
}
