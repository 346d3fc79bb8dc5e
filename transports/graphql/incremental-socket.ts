import type { Call } from '../../src/core/call/call.ts'
import type { MessageSource, SourceEnd, StreamReply, Tap } from '../../src/core/call/reply.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { HttpGraphQLTransport } from './exchange.ts'
import { type Asked, featuresOf } from './feature.ts'
import { cutShort, GrowingReader } from './growing-reader.ts'

/** A feature that carries requests over a socket. */
interface SocketWay {
  stream(asked: Asked, http: HttpGraphQLTransport, tapOf: (own: Call) => Tap): Promise<StreamReply> | undefined
}

/** Asks for a result in parts over the socket, where a feature says so and can; else undefined. */
export function streamedBySocket(asked: Asked, http: HttpGraphQLTransport): Promise<StreamReply> | undefined {
  const { call } = asked
  const way = (featuresOf(call, http) as readonly Partial<SocketWay>[]).find((each) => each.stream)
  const grower = new GrowingReader(call)
  const reply = way?.stream?.(asked, http, (own) => growingTap(own, grower))
  return reply?.then(async (opened) => {
    const messages = new WholeSource(opened.messages, grower, call)
    // Open with its first part, as over HTTP: what is refused with it can be tried again.
    await messages.ready()
    const { end } = messages
    if (end?.kind === 'failed') throw end.error
    return { ...opened, messages }
  })
}

/** Makes messages of parts. What the policy does not let pass ends the stream, and with it the request. */
function growingTap(own: Call, grower: GrowingReader): Tap {
  return (item) => {
    if (item.isGap) return item
    // What came in one read with the part that failed is behind the failure.
    if (own.scope.isOver) return undefined
    const read = grower.read(item.message)
    if (!read) return undefined
    if ('message' in read) return { ...item, message: read.message }
    return own.scope.abort(new CallError(read.failure, own)) as undefined
  }
}

/** The same messages; an end before the last part is a failure. */
class WholeSource implements MessageSource {
  readonly #inner: MessageSource
  readonly #grower: GrowingReader
  readonly #call: Call

  constructor(inner: MessageSource, grower: GrowingReader, call: Call) {
    this.#inner = inner
    this.#grower = grower
    this.#call = call
  }

  get end(): SourceEnd | undefined {
    const { end } = this.#inner
    return end && this.#judge(end)
  }

  get cursor(): string | undefined {
    return this.#inner.cursor
  }

  take(): ReturnType<MessageSource['take']> {
    return this.#inner.take()
  }

  ready(): Promise<void> {
    return this.#inner.ready()
  }

  tap(tap: Tap): void {
    this.#inner.tap(tap)
  }

  onSettled(listener: (end: SourceEnd) => void): void {
    this.#inner.onSettled((end) => listener(this.#judge(end)))
  }

  close(reason: unknown): void {
    this.#inner.close(reason)
  }

  #judge(end: SourceEnd): SourceEnd {
    if (end.kind === 'failed' || !this.#grower.hasNext) return end
    return { kind: 'failed', error: new CallError(cutShort(), this.#call) }
  }
}
