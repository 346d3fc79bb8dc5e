import type { Call } from '../../src/core/call/call.ts'
import type { HttpEngine, HttpRequest, HttpScope, HttpSink } from '../http/contract.ts'
import { callOver } from '../http/fault.ts'
import type { SseCrowd } from './crowd.ts'
import { SharedStream } from './shared-stream.ts'

/** One reader that wants an event stream. */
export interface SseReader {
  readonly call: Call
  /** The same for all that may read one connection: the request without its cursor, and whose it is. Undefined: no other. */
  readonly key: string | undefined
  /** Where the reader goes on; undefined for one that begins. */
  readonly after: string | undefined
  /** What it misses can be had again. */
  canResume(): boolean
}

/** How readers of one event stream come together. */
export interface SseShareOptions {
  /** `start`: who is there before the first byte, and so misses none. `live`: who comes later, too. `no`: nobody. */
  readonly joining: 'start' | 'live' | 'no'
  readonly crowd: SseCrowd
}

/** The connections of one transport, each read by all that ask for the same. */
export class SseShare {
  readonly #engine: Pick<HttpEngine, 'send'>
  readonly #options: SseShareOptions
  readonly #streams = new Map<string, SharedStream[]>()

  constructor(engine: Pick<HttpEngine, 'send'>, options: SseShareOptions) {
    this.#engine = engine
    this.#options = options
  }

  /** What sends the request of a reader, or lets it join those that have sent the same. */
  for(reader: SseReader): Pick<HttpEngine, 'send'> {
    return { send: (request, sink, scope) => this.#send(reader, request, sink, scope) }
  }

  #send(reader: SseReader, request: HttpRequest, sink: HttpSink, scope: HttpScope): void {
    if (scope.isOver) {
      sink.onError(callOver)
      return
    }
    const { key, after, call } = reader
    const { crowd } = this.#options
    const { services } = call.scope
    const joined = { sink, scope, after, canResume: () => reader.canResume() }
    const old = this.#find(reader, services.clock.now())
    if (old) {
      old.join(joined)
      return
    }
    const stream = new SharedStream(after, services, () => {
      this.#forget(key, stream)
      crowd.left()
    })
    if (key !== undefined) this.#streams.set(key, [...(this.#streams.get(key) ?? []), stream])
    crowd.came(call)
    stream.join(joined)
    this.#engine.send(request, stream, stream)
  }

  #find({ key, after }: SseReader, now: number): SharedStream | undefined {
    const { joining } = this.#options
    if (key === undefined || joining === 'no') return undefined
    return this.#streams.get(key)?.find((each) => each.accepts(after, joining, now))
  }

  #forget(key: string | undefined, stream: SharedStream): void {
    if (key === undefined) return
    const left = (this.#streams.get(key) ?? []).filter((each) => each !== stream)
    if (left.length > 0) this.#streams.set(key, left)
    else this.#streams.delete(key)
  }
}
