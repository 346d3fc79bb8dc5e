import type { OperationInfo } from '../../src/core/call/operation.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { isThenable } from '../../src/core/guard.ts'
import type { RpcBinding } from '../grpc/operation.ts'
import { grpcCode, headersOf, isNetworkError, isResponse, tell, thrownFailure } from './error.ts'
import { type AnyResolver, contextOf, httpHandler } from './http.ts'
import { urlPattern } from './pattern.ts'
import type { HttpHandler } from './peer-msw.ts'
import { delivered, iteratorOf, leave, leavingWith, type Messages, openHead, streamResponse, turn } from './stream.ts'
import type { MockOptions } from './types.ts'

type Connect = typeof import('@connectrpc/connect') & typeof import('@connectrpc/connect/protocol')

/** Loaded by the first call, so that who mocks no gRPC needs none of it; awaited within `try`, so that bundlers let it be missing. */
async function loadConnect(): Promise<Connect> {
  try {
    const router = await import('@connectrpc/connect')
    const protocol = await import('@connectrpc/connect/protocol')
    return { ...router, ...protocol }
  } catch (cause) {
    const install = 'npm install @connectrpc/connect @bufbuild/protobuf'
    throw new Error(`polywire/msw could not load '@connectrpc/connect': run ${install}`, { cause })
  }
}

/** What connect gives an implementation beside the message. */
interface Handling {
  readonly signal: AbortSignal
  readonly responseHeader: Headers
  readonly responseTrailer: Headers
}

/** A unary method or a server stream: framed by connect's own server side, as gRPC-Web or as Connect, whatever is asked. */
export function mockGrpc(info: OperationInfo, resolver: AnyResolver, options: MockOptions): HttpHandler {
  const { method } = info.binding as RpcBinding
  const { match } = urlPattern(`/${method.parent.typeName}/${method.name}`, options.baseUrl)
  const asks = (request: Request) => (/^(?:POST|GET)$/.test(request.method) ? match(new URL(request.url)) : undefined)
  const answer = async (request: Request) => {
    const connect = await loadConnect()
    /** What the handler answers past the protocol. */
    let own: Response | undefined
    const failed = (error: unknown) => {
      if (isResponse(error)) own = error
      return connectError(connect, info, error)
    }
    const call = (input: unknown, { signal, responseHeader, responseTrailer }: Handling) =>
      resolver({
        ...contextOf(request, { input: input as never, signal }),
        reply: { status: 200, headers: responseHeader, trailers: responseTrailer },
        lastEventId: undefined,
      })
    const unary = async (input: unknown, handling: Handling) => {
      try {
        const message = await call(input, handling)
        if (isResponse(message)) throw message
        return message
      } catch (error) {
        throw failed(error)
      }
    }
    async function* stream(input: unknown, handling: Handling) {
      try {
        const made = call(input, handling)
        const messages = isThenable(made) ? await made : made
        if (isResponse(messages)) throw messages
        yield* until(handling.signal, iteratorOf(messages, info.name))
      } catch (error) {
        if (handling.signal.aborted) throw error
        throw failed(error)
      }
    }
    const router = connect.createConnectRouter({ grpc: false })
    router.rpc(method as never, (info.kind === 'unary' ? unary : stream) as never)
    const [handler] = router.handlers
    const left = leavingWith(request.signal)
    const asked = new Request(request.clone(), { signal: left.signal })
    const response = await connect.createFetchHandler(handler as never, { httpVersion: '1.1' })(asked)
    return own ?? (info.kind === 'unary' ? response : breakable(response, () => own, left))
  }
  return httpHandler(info, asks, answer, options)
}

/** Ends the handler where the caller leaves while it waits. */
async function* until(signal: AbortSignal, messages: Messages) {
  const onAbort = () => void leave(messages)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    for (let next = await messages.next(); !next.done; next = await messages.next()) {
      await turn()
      yield next.value
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    onAbort()
  }
}

/** Breaks the connection where the handler of a stream does, instead of ending it with a status. */
function breakable(response: Response, own: () => Response | undefined, left: AbortController): Response {
  const { body, status, headers } = response
  if (!body) return response
  const reader = body.getReader()
  const broken = new ReadableStream<Uint8Array>({
    start: openHead,
    async pull(controller) {
      try {
        const { done, value } = await reader.read()
        const given = own()
        if (given && isNetworkError(given)) {
          await delivered()
          controller.error(new TypeError('the handler broke the connection'))
        } else if (done) controller.close()
        else controller.enqueue(value)
      } catch (error) {
        controller.error(error)
      }
    },
    cancel(reason) {
      left.abort(reason)
      return reader.cancel(reason)
    },
  })
  return streamResponse(broken, { status, headers })
}

/** The status that an error becomes; what is none of ours and none of connect's is told to the tester, too. */
function connectError({ ConnectError }: Connect, { name }: OperationInfo, error: unknown): Error {
  if (error instanceof ConnectError || isResponse(error)) return ConnectError.from(error)
  const failure = thrownFailure(error)
  if (!failure) tell(name, error)
  const { code, message, trailers, details, retryAfterMs, ...rest }: Failure = failure ?? {
    code: 'unknown',
    message: String(error),
  }
  const metadata = failure ? headersOf({ ...failure, retryAfterMs: undefined }) : new Headers()
  if (trailers) for (const [key, value] of trailers) metadata.append(key, value)
  if (retryAfterMs !== undefined) metadata.set('grpc-retry-pushback-ms', String(Math.ceil(retryAfterMs)))
  const made = new ConnectError(message, grpcCode(code), metadata)
  made.details = [...standardDetails(rest), ...(Array.isArray(details) ? details.map(detailOf) : [])] as never
  return made
}

/** A detail as it came ({ type, bytes }), or one to be encoded: { desc, value }. */
function detailOf(detail: { readonly type?: string; readonly bytes?: Uint8Array }): object {
  return detail.bytes && detail.type !== undefined ? { type: detail.type, value: detail.bytes } : detail
}

/** What google.rpc says of an error: its reason and violations, from which the client reads them. */
function standardDetails({ reason, violations }: Partial<Failure>): object[] {
  const refused = violations?.flatMap(({ field, message }) => member(1, [...member(1, field), ...member(2, message)]))
  return [
    ...(reason === undefined ? [] : [{ type: 'google.rpc.ErrorInfo', value: Uint8Array.from(member(1, reason)) }]),
    ...(refused ? [{ type: 'google.rpc.BadRequest', value: Uint8Array.from(refused) }] : []),
  ]
}

/** A text or a message as a field of protobuf. */
function member(number: number, content: string | readonly number[]): number[] {
  const bytes = typeof content === 'string' ? [...new TextEncoder().encode(content)] : content
  const length: number[] = []
  for (let left = bytes.length; ; left >>>= 7) {
    length.push(left > 127 ? (left & 127) | 128 : left)
    if (left < 128) return [(number << 3) | 2, ...length, ...bytes]
  }
}
