import type { HeaderMap } from '../../src/core/call/header-map.ts'
import { isAnyCallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import type { Item } from '../../src/core/stream/source.ts'
import type { Continuity } from '../../src/core/stream/state.ts'
import { essenceOf } from '../http/codecs.ts'
import { decodeUtf8, join, tooLarge } from '../http/collect.ts'
// Its `complete` may come without data (gqlgen), which eventsource-parser, rightly, takes for no event.
import { EventParsers } from '../http/event-stream/by-hand.ts'
import type { EventStreamSink, EventStreams } from '../http/event-stream/event-stream.ts'
import { onStream, StreamExchange } from '../http/event-stream/stream-exchange.ts'
import { faultToFailure } from '../http/fault.ts'
import type { Asked } from './feature.ts'
import { cutShort, GrowingReader } from './growing-reader.ts'
import { boundaryOf, MixedReader, type ReadPart } from './multipart-mixed.ts'
import { parseJson, readGraphQL } from './response.ts'

/** What reads one kind of body. */
interface PartReader {
  feed(bytes: Uint8Array, give: (part: unknown) => void): void
  /** @returns whether no part was cut. */
  end(give: (part: unknown) => void): boolean
  readonly isOver: boolean
}

/**
 * One response that may come in parts: as `multipart/mixed`, as an event stream, or whole, where the server had nothing
 * to defer. It is open once the first part has come, so that what is refused with it can be tried again.
 */
export class IncrementalExchange extends StreamExchange {
  readonly #growing: GrowingReader
  readonly #maxBytes: number
  readonly #idleTimeoutMs: number
  readonly #parse: ReadPart
  #reader: PartReader | undefined
  #size = 0
  /** What one read of the wire has brought. */
  #items: Item[] = []
  #end: { readonly error: unknown } | undefined

  constructor({ call, json }: Asked, maxBytes: number, idleTimeoutMs: number) {
    super(call)
    this.#growing = new GrowingReader(call)
    this.#parse = json ? (text) => json.read(text, call) : parseJson
    this.#maxBytes = maxBytes
    this.#idleTimeoutMs = idleTimeoutMs
  }

  /** Nothing is opened again: what came before is no beginning of another answer. */
  continuity(): Continuity {
    return 'unknown'
  }

  protected answered(): void {
    const contentType = this.head.headers.last('content-type') ?? ''
    const essence = essenceOf(contentType)
    const boundary = boundaryOf(contentType)
    if (essence === 'multipart/mixed' && boundary !== undefined) this.#reader = new MixedReader(boundary, this.#parse)
    else if (essence === 'text/event-stream') this.#reader = new EventReader(this.#maxBytes, this.#parse)
    else this.#reader = new WholeReader((bytes) => this.#whole(bytes))
  }

  onData(bytes: Uint8Array): void {
    if (!this.#reader || this.state === 'over') return
    this.idle?.alive()
    this.#size += bytes.byteLength
    if (this.#size > this.#maxBytes) this.#fail(faultToFailure(tooLarge(this.#maxBytes), true))
    this.#read((reader) => reader.feed(bytes, this.#give), bytes.byteLength)
    // Not every server closes what it has no more parts for.
    if ((this.#reader.isOver || this.#growing.isOver) && !this.#end)
      this.#end = { error: this.#growing.hasNext ? this.error(cutShort()) : undefined }
    this.#settle()
  }

  override onEnd(trailers: HeaderMap): void {
    if (this.state === 'over') return
    this.late.settle(() => trailers)
    this.ended()
  }

  protected ended(): void {
    this.#read((reader) => {
      const isWhole = reader.end(this.#give)
      if (!isWhole || this.#growing.hasNext) this.#fail(cutShort())
    }, 0)
    this.#end ??= { error: undefined }
    this.#settle()
  }

  protected refusedBy(_body: Uint8Array, reject: (error: unknown) => void): void {
    reject(this.error(cutShort()))
  }

  /** A body that is no stream: a result, or what HTTP means. @throws {CallError} */
  #whole(body: Uint8Array): unknown {
    if (this.head.status === 406 || essenceOf(this.head.headers.get('content-type')) === 'multipart/mixed')
      throw this.error({ ...unreadable, status: this.head.status, headers: this.head.headers })
    const text = decodeUtf8(body)
    const parsed = this.#parse(text)
    const response = { ...this.head, body, text: () => text, ...(parsed && { parsed }) }
    return readGraphQL(response, text, '', this.call)
  }

  #read(by: (reader: PartReader) => void, bytes: number): void {
    if (this.#end) return
    try {
      by(this.#reader as PartReader)
    } catch (cause) {
      if (isAnyCallError(cause)) this.#end ??= { error: cause }
      else this.#fail(onStream('data_loss', 'a part of the response is no JSON: see cause', cause))
    }
    if (this.#items.length === 0) return
    if (this.state === 'opening') {
      this.open()
      this.source.pushAll(this.#items, bytes)
      this.opened()
      this.watch(this.#idleTimeoutMs)
    } else this.source.pushAll(this.#items, bytes)
    this.#items = []
  }

  readonly #give = (part: unknown): void => {
    if (this.#end) return
    const read = this.#growing.read(part, this.head)
    if (read && 'failure' in read) this.#fail(read.failure)
    else if (read) this.#items.push(read)
  }

  #fail(failure: Failure): void {
    this.#end ??= { error: this.error(failure) }
  }

  #settle(): void {
    if (!this.#end || this.state === 'over') return
    const { error } = this.#end
    this.control.cancel()
    if (this.state === 'opening') this.refuse(error ?? this.error(cutShort()))
    else this.over(error)
  }
}

/** The events of graphql-sse: `next` with a part, `complete` at the end. */
class EventReader implements PartReader, EventStreamSink {
  readonly #stream: ReturnType<EventStreams['open']>
  readonly #parse: ReadPart
  /** What the bytes have brought: read behind the parser, which is not made for what throws. */
  #texts: string[] = []
  isOver = false

  constructor(maxBytes: number, parse: ReadPart) {
    this.#parse = parse
    this.#stream = new EventParsers(maxBytes, 'complete').open(this)
  }

  feed(bytes: Uint8Array, give: (part: unknown) => void): void {
    this.#stream.feed(bytes)
    const texts = this.#texts
    this.#texts = []
    for (const text of texts) {
      const part = this.#parse(text)
      if (!part) throw new SyntaxError('an event is no JSON')
      give(part.value)
    }
  }

  end(): boolean {
    return true
  }

  onEvent(type: string, data: string): void {
    if (type === 'complete') this.isOver = true
    else if (!this.isOver && (type === 'next' || type === 'message')) this.#texts.push(data)
  }

  onCursor(): void {}
  onRetry(): void {}
  onComment(): void {}
  onOverflow(): void {}
}

/** A body that is read when it has ended. */
class WholeReader implements PartReader {
  readonly #chunks: Uint8Array[] = []
  readonly #read: (body: Uint8Array) => unknown
  readonly isOver = false

  constructor(read: (body: Uint8Array) => unknown) {
    this.#read = read
  }

  feed(bytes: Uint8Array): void {
    this.#chunks.push(bytes)
  }

  end(give: (part: unknown) => void): boolean {
    give(
      this.#read(
        join(
          this.#chunks,
          this.#chunks.reduce((size, each) => size + each.byteLength, 0),
        ),
      ),
    )
    return true
  }
}

const unreadable: Failure = {
  code: 'unimplemented',
  message: 'the server answers @defer and @stream in no way that can be read: leave them out',
  phase: 'headers',
  sent: 'yes',
}
