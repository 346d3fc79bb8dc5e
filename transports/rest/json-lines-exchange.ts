import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { StreamReply } from '../../src/core/call/reply.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { decide } from '../../src/core/guard.ts'
import type { Item } from '../../src/core/stream/source.ts'
import type { Continuity } from '../../src/core/stream/state.ts'
import { essenceOf } from '../http/codecs.ts'
import type { HttpEngine, HttpHead, HttpRequest } from '../http/contract.ts'
import { onStream, openStream, StreamExchange } from '../http/event-stream/stream-exchange.ts'
import { JsonLineReader } from './line-reader.ts'
import { responseError } from './response.ts'

/** How one stream of lines is read. */
export interface JsonLinesSettings {
  /** The last message: an end before it is a drop. */
  readonly until: ((message: any) => boolean) | undefined
  readonly maxLineBytes: number
  /** Silence after which the connection is taken for dead; ms. */
  readonly idleTimeoutMs: number
}

/**
 * Opens a stream of lines; resolves when it is open.
 *
 * @throws {CallError} by the fault, the status or the content type; an abort rejects with its reason.
 */
export function openJsonLines(
  engine: HttpEngine,
  request: HttpRequest,
  call: Call,
  settings: JsonLinesSettings,
): Promise<StreamReply> {
  return openStream(engine, request, new JsonLinesExchange(call, settings))
}

/** One connection of a stream of lines. */
class JsonLinesExchange extends StreamExchange {
  readonly #settings: JsonLinesSettings
  #lines!: JsonLineReader
  /** What one read of the wire has brought, so that a reader is woken once for all of it. */
  #items: Item[] = []
  /** The stream is over after the items. */
  #end: { readonly error: unknown } | undefined

  constructor(call: Call, settings: JsonLinesSettings) {
    super(call)
    this.#settings = settings
  }

  /** Cursors stand in the messages, where there are some: what is behind the last one comes again. */
  continuity(): Continuity {
    const { resume, cursors } = this.call.operation
    if (!resume) return 'unknown'
    return cursors === 'offset' ? 'exact' : 'at-least-once'
  }

  protected answered(): void {
    const { head } = this
    const essence = essenceOf(head.headers.last('content-type'))
    if (head.status < 200 || head.status >= 300) this.state = 'refused'
    else if (head.status !== 204 && isOther(essence)) this.refuse(this.error(wrongType(head)))
    else this.#open(essence === 'application/json-seq')
  }

  onData(bytes: Uint8Array): void {
    if (this.state !== 'open') {
      this.collect(bytes)
      return
    }
    this.idle?.alive()
    try {
      this.#lines.feed(bytes, this.#give)
    } catch (cause) {
      this.#end ??= { error: this.error(unreadable(cause)) }
    }
    if (this.#lines.isOverflown) this.#end ??= { error: this.error(overflow(this.#settings.maxLineBytes)) }
    this.#pass(bytes.byteLength)
    if (!this.#end || this.state !== 'open') return
    this.control.cancel()
    this.over(this.#end.error)
  }

  protected ended(): void {
    const isWhole = this.#lines.end(this.#give)
    this.#pass(0)
    if (this.#end) this.over(this.#end.error)
    else if (!isWhole) this.over(this.error(cut()))
    else this.over(this.#settings.until && this.error(early()))
  }

  protected refusedBy(body: Uint8Array, reject: (error: unknown) => void): void {
    responseError(this.call, { ...this.head, body, trailers: HeaderMap.empty }).catch(reject)
  }

  #open(isSequence: boolean): void {
    const { maxLineBytes, idleTimeoutMs } = this.#settings
    this.open()
    this.#lines = new JsonLineReader(isSequence, maxLineBytes)
    this.watch(idleTimeoutMs)
    this.opened()
  }

  readonly #give = (message: unknown): void => {
    if (this.#end) return
    const { until } = this.#settings
    this.#items.push({ message })
    try {
      if (
        until &&
        decide(`${this.call.operation.name}: until`, () => until(message), this.call, { phase: 'stream', sent: 'yes' })
      )
        this.#end = { error: undefined }
    } catch (error) {
      this.#end = { error }
    }
  }

  #pass(bytes: number): void {
    if (this.#items.length === 0) return
    this.source.pushAll(this.#items, bytes)
    this.#items = []
  }
}

/** A page, an event stream, a picture. Servers name lines by a dozen types, and some by none. */
function isOther(essence: string): boolean {
  return !/^$|json|^text\/plain$|^application\/octet-stream$/.test(essence)
}

function wrongType({ status, headers }: HttpHead): Failure {
  const message = 'the server answered with a content type that is no JSON: check the path, and what stands in between'
  return { code: 'failed_precondition', message, phase: 'headers', sent: 'yes', status, headers }
}

const cut = () => onStream('unavailable', 'the stream was cut within a line')
const early = () => onStream('unavailable', "the server ended the stream before the message of 'until'")
const unreadable = (cause: unknown) => onStream('data_loss', 'a line is no JSON, or no UTF-8: see cause', cause)
const overflow = (maxLineBytes: number) =>
  onStream('resource_exhausted', `a line is larger than maxLineBytes (${maxLineBytes}): raise it, or send less at once`)
