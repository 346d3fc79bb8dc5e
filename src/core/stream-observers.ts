import type { Observer } from './call-types.ts'
import { isGap } from './gap.ts'
import type { StreamState } from './stream-state.ts'

/** Those who listen to one stream: each is told everything from when it joined, whatever becomes of the others. */
export class StreamObservers<Message> {
  /** Replaced, never changed: they come and go while they are being told. */
  #observers: readonly Observer<Message>[] = []

  get isEmpty(): boolean {
    return this.#observers.length === 0
  }

  /** Returns what removes it. One object may listen twice. */
  add(observer: Observer<Message>): () => void {
    const own: Observer<Message> = { __proto__: observer } as never
    this.#observers = [...this.#observers, own]
    return () => this.#remove(own)
  }

  /** For one who comes when all is over: told so, once it has had time to look at what it gets back. */
  addLate(observer: Observer<Message>, failure: unknown): () => void {
    queueMicrotask(() => this.finish(failure))
    return this.add(observer)
  }

  /** One that throws listens no more, and is told why. */
  tell(message: Message): void {
    for (const observer of this.#observers) {
      try {
        if (isGap(message)) observer.gap?.(message)
        else observer.next?.(message)
      } catch (error) {
        this.#remove(observer)
        guarded(() => observer.error?.(error))
      }
    }
  }

  state(state: StreamState): void {
    for (const observer of this.#observers) guarded(() => observer.state?.(state))
  }

  /** The stream is over: nothing follows. */
  finish(failure: unknown): void {
    const observers = this.#observers
    this.#observers = []
    for (const observer of observers) {
      guarded(() => (failure === undefined ? observer.end?.() : observer.error?.(failure)))
    }
  }

  #remove(observer: Observer<Message>): void {
    this.#observers = this.#observers.filter((each) => each !== observer)
  }
}

/** What a callback throws that nobody could be told of is a rejection that nobody handles: seen, and harmful to no other. */
function guarded(call: () => void): void {
  try {
    call()
  } catch (error) {
    void Promise.reject(error)
  }
}
