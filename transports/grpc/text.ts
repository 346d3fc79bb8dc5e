import { HeaderMap } from '../../src/core/call/header-map.ts'
import type {
  HttpControl,
  HttpEngine,
  HttpFault,
  HttpHead,
  HttpRequest,
  HttpScope,
  HttpSink,
} from '../http/contract.ts'
import { fromBase64, toBase64 } from './metadata.ts'

/** The text format of gRPC-Web; made by {@link grpcWebText}, and only the transport knows what else it is. */
export interface GrpcWebText {
  readonly format: 'text'
}

/** Writes and reads base64 at the wire, so that nobody else need know of it. */
export class TextFormat implements GrpcWebText {
  readonly format = 'text'

  /** The same engine, whose requests and answers are text. */
  over(engine: HttpEngine): HttpEngine {
    return {
      name: engine.name,
      send: (request, sink, scope) => sendText(engine, request, sink, scope),
      close: () => engine.close(),
    }
  }
}

/**
 * Lets a transport speak `application/grpc-web-text`, base64 both ways, for the proxies and servers that know nothing else;
 * a third longer than the binary format, which all others know.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
 * @example
 * grpcWebTransport({ baseUrl: 'https://rpc.example.com', text: grpcWebText() })
 */
export function grpcWebText(): GrpcWebText {
  return new TextFormat()
}

const binaryType = /^application\/grpc-web\b/
const textType = /^application\/grpc-web-text\b/i

function sendText(engine: HttpEngine, request: HttpRequest, sink: HttpSink, scope: HttpScope): void {
  const { headers, body } = request
  const type = headers['content-type']?.replace(binaryType, 'application/grpc-web-text')
  // A GET of Connect is none of it.
  if (type === undefined || !(body instanceof Uint8Array)) engine.send(request, sink, scope)
  else
    engine.send(
      { ...request, headers: { ...headers, 'content-type': type, accept: type }, body: toBase64(body) },
      new TextSink(sink),
      scope,
    )
}

/** Decodes an answer piece by piece; each piece that the server wrote may have a padding of its own. */
class TextSink implements HttpSink {
  readonly #sink: HttpSink
  #control: HttpControl | undefined
  #isText?: boolean
  #isOver?: boolean
  /** Characters that make no whole group yet. */
  #rest = ''

  constructor(sink: HttpSink) {
    this.#sink = sink
  }

  onHead(head: HttpHead, control: HttpControl): void {
    this.#control = control
    const type = head.headers.last('content-type') ?? ''
    this.#isText = textType.test(type)
    const binary = type.replace(textType, 'application/grpc-web')
    const headers = this.#isText ? HeaderMap.from(head.headers).with('content-type', binary) : head.headers
    this.#sink.onHead({ ...head, headers }, control)
  }

  onData(bytes: Uint8Array): void {
    if (this.#isOver) return
    if (!this.#isText) {
      this.#sink.onData(bytes)
      return
    }
    const text = this.#rest + new TextDecoder('latin1').decode(bytes).replace(/\s/g, '')
    const whole = text.length - (text.length % 4)
    this.#rest = text.slice(whole)
    this.#give(text.slice(0, whole))
  }

  onEnd(trailers: HeaderMap): void {
    if (this.#isOver) return
    // Some leave the padding at the end out.
    this.#give(this.#rest)
    if (!this.#isOver) this.#sink.onEnd(trailers)
  }

  onError(fault: HttpFault): void {
    if (!this.#isOver) this.#sink.onError(fault)
  }

  onAbort(reason: unknown): void {
    if (!this.#isOver) this.#sink.onAbort?.(reason)
  }

  #give(text: string): void {
    for (const part of text.match(/[^=]+={0,2}|=+/g) ?? []) {
      const bytes = fromBase64(part)
      if (!bytes) {
        this.#isOver = true
        const what = 'the answer is no base64, which its content type says it is'
        this.#sink.onError({ phase: 'body', sent: 'yes', what, code: 'internal' })
        this.#control?.cancel()
        return
      }
      this.#sink.onData(bytes)
    }
  }
}
