import type { Phase, Sent } from '../../src/core/failure.ts'
import type { Signal } from '../../src/core/signal.ts'
import type { HttpScope } from './http.ts'

/** A scope that a signal ends too; keeps nothing on the signal after `release`. */
export class SignalScope implements HttpScope {
  /** The exchange is over. */
  readonly release: () => void
  readonly #scope: HttpScope
  readonly #signal: Signal
  #listeners = new Set<(reason: unknown) => void>()

  constructor(scope: HttpScope, signal: Signal) {
    this.#scope = scope
    this.#signal = signal
    this.release = scope.isOver || signal.aborted ? () => undefined : this.#listen()
  }

  get isOver(): boolean {
    return this.#scope.isOver || this.#signal.aborted
  }

  onAbort(listener: (reason: unknown) => void): () => void {
    if (this.#signal.aborted) listener(this.#signal.reason)
    else if (this.#scope.isOver) return this.#scope.onAbort(listener)
    else this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  mark(phase: Phase, sent: Sent): void {
    this.#scope.mark(phase, sent)
  }

  #listen(): () => void {
    const abort = () => this.#abort(this.#signal.reason)
    const offAbort = this.#scope.onAbort((reason) => this.#abort(reason))
    this.#signal.addEventListener('abort', abort)
    return () => {
      offAbort()
      this.#signal.removeEventListener('abort', abort)
    }
  }

  #abort(reason: unknown): void {
    this.release()
    const listeners = this.#listeners
    this.#listeners = new Set()
    for (const listener of listeners) listener(reason)
  }
}
