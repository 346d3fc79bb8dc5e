import type { Call } from '../core/call/call.ts'
import type { UnaryResult } from '../core/call/call-types.ts'
import { CallError, failureOf, isAnyCallError } from '../core/errors/error.ts'
import type { OutboxEntry } from './types.ts'

/** What a caller gets. */
export type Answer = Pick<UnaryResult<unknown>, 'message' | 'status' | 'headers' | 'trailers' | 'attempts'>

/** A caller that waits for the outcome of its entry. */
interface Waiter {
  readonly call: Call
  resolve(answer: Answer): void
  reject(error: unknown): void
}

/** Who waits for which entry. A caller that gives up leaves; its entry goes on. */
export class Waiters {
  readonly #byPlace = new Map<string, Set<Waiter>>()

  /** The outcome of an entry. */
  wait(place: string, call: Call): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { call, resolve, reject }
      const waiters = this.#byPlace.get(place) ?? new Set()
      this.#byPlace.set(place, waiters.add(waiter))
      call.scope.onEnd(() => {
        waiters.delete(waiter)
        if (waiters.size === 0 && this.#byPlace.get(place) === waiters) this.#byPlace.delete(place)
      })
    })
  }

  count(place: string): number {
    return this.#byPlace.get(place)?.size ?? 0
  }

  /** A call of somebody who waits. */
  callOf(place: string): Call | undefined {
    for (const { call } of this.#byPlace.get(place) ?? []) return call
    return undefined
  }

  resolve(place: string, answer: Answer): void {
    for (const waiter of this.#take(place)) waiter.resolve(answer)
  }

  /** Each gets an error of its own that names its entry. */
  reject(place: string, error: unknown, entry?: EntryName): void {
    let isFirst = true
    for (const { reject, call } of this.#take(place)) {
      const own = isFirst || !isAnyCallError(error) ? error : new CallError({ ...failureOf(error), ...error }, call)
      isFirst = false
      reject(entry ? withEntry(own, entry) : own)
    }
  }

  #take(place: string): Iterable<Waiter> {
    const waiters = this.#byPlace.get(place) ?? []
    this.#byPlace.delete(place)
    return waiters
  }
}

/** An entry in an error. */
export type EntryName = Pick<OutboxEntry, 'id' | 'state'>

/** Names the entry on an error. */
export function withEntry<T>(error: T, { id, state }: EntryName): T {
  return isAnyCallError(error) ? Object.assign(error, { entry: { id, state } }) : error
}
