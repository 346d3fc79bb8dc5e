import type { Observer } from '../call/call-types.ts'
import type { Telemetry } from '../call/telemetry.ts'
import type { CallError } from '../errors/error.ts'
import { isThenable, notify } from '../guard.ts'
import { isGap } from './gap.ts'
import type { StreamState } from './state.ts'

/** One who listens; one object may do so twice. */
interface Seat<Message> {
  readonly observer: Observer<Message>
}

/** Those who listen to one stream: each is told everything from when it joined, whatever becomes of the others. */
export class StreamObservers<Message> {
  readonly #telemetry: Telemetry | undefined
  readonly #onEmpty: () => void
  /** Replaced, never changed: they come and go while they are being told. */
  #seats: readonly Seat<Message>[] = []

  /** @param onEmpty - told when one that failed was the last one. */
  constructor(telemetry: Telemetry | undefined, onEmpty: () => void) {
    this.#telemetry = telemetry
    this.#onEmpty = onEmpty
  }

  get isEmpty(): boolean {
    return this.#seats.length === 0
  }

  /** Returns what removes it. */
  add(observer: Observer<Message>): () => void {
    const seat = { observer }
    // A literal takes no room for more: mostly there is one.
    this.#seats = this.isEmpty ? [seat] : [...this.#seats, seat]
    return () => this.#remove(seat)
  }

  /** For one who comes when all is over: told so, once it has had time to look at what it gets back. */
  addLate(observer: Observer<Message>, failure: unknown): () => void {
    queueMicrotask(() => this.finish(failure))
    return this.add(observer)
  }

  /** One that throws, at once or later, listens no more, and is told why; returns nobody's promise. */
  tell(message: Message): void {
    for (const seat of this.#seats) {
      const { observer } = seat
      try {
        const told: unknown = isGap(message) ? observer.gap?.(message) : observer.next?.(message)
        if (isThenable(told)) told.then(undefined, (error: unknown) => this.#dismiss(seat, error))
      } catch (error) {
        this.#dismiss(seat, error)
      }
    }
  }

  state(state: StreamState, reason: CallError | undefined): void {
    for (const { observer } of this.#seats) this.#notify('state', () => observer.state?.(state, reason))
  }

  /** The stream is over: nothing follows. */
  finish(failure: unknown): void {
    const seats = this.#seats
    this.#seats = []
    for (const { observer } of seats) {
      if (failure === undefined) this.#notify('end', () => observer.end?.())
      else this.#notify('error', () => observer.error?.(failure))
    }
  }

  #dismiss(seat: Seat<Message>, error: unknown): void {
    const isHere = this.#seats.includes(seat)
    this.#remove(seat)
    // Whoever has no word for it, or has left meanwhile, is not told: telemetry is.
    if (isHere && seat.observer.error) this.#notify('error', () => seat.observer.error?.(error))
    else this.#notify('next', () => Promise.reject(error))
    if (isHere && this.isEmpty) this.#onEmpty()
  }

  #notify(which: keyof Observer<Message>, run: () => unknown): void {
    notify(`an observer's ${which}`, run, this.#telemetry)
  }

  #remove(seat: Seat<Message>): void {
    this.#seats = this.#seats.filter((each) => each !== seat)
  }
}
