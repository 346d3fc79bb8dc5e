import type { Observer } from '../call/call-types.ts'
import { isGap } from './gap.ts'
import type { StreamState } from './state.ts'

/** One who listens; one object may do so twice. */
interface Seat<Message> {
  readonly observer: Observer<Message>
}

/** Those who listen to one stream: each is told everything from when it joined, whatever becomes of the others. */
export class StreamObservers<Message> {
  /** Replaced, never changed: they come and go while they are being told. */
  #seats: readonly Seat<Message>[] = []

  get isEmpty(): boolean {
    return this.#seats.length === 0
  }

  /** Returns what removes it. */
  add(observer: Observer<Message>): () => void {
    const seat = { observer }
    this.#seats = [...this.#seats, seat]
    return () => this.#remove(seat)
  }

  /** For one who comes when all is over: told so, once it has had time to look at what it gets back. */
  addLate(observer: Observer<Message>, failure: unknown): () => void {
    queueMicrotask(() => this.finish(failure))
    return this.add(observer)
  }

  /** One that throws listens no more, and is told why. */
  tell(message: Message): void {
    for (const seat of this.#seats) {
      const { observer } = seat
      try {
        if (isGap(message)) observer.gap?.(message)
        else observer.next?.(message)
      } catch (error) {
        this.#remove(seat)
        guarded(() => observer.error?.(error))
      }
    }
  }

  state(state: StreamState): void {
    for (const { observer } of this.#seats) guarded(() => observer.state?.(state))
  }

  /** The stream is over: nothing follows. */
  finish(failure: unknown): void {
    const seats = this.#seats
    this.#seats = []
    for (const { observer } of seats) {
      guarded(() => (failure === undefined ? observer.end?.() : observer.error?.(failure)))
    }
  }

  #remove(seat: Seat<Message>): void {
    this.#seats = this.#seats.filter((each) => each !== seat)
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
