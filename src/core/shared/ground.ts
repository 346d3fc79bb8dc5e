import type { Services } from '../call/scope.ts'
import { uuid } from '../call/uuid.ts'
import { listenTo } from '../store/listeners.ts'
import type { Store } from '../store/store.ts'
import { isObject } from '../tag.ts'

/** A message between those who share; one of another version is not understood, and ignored. */
export interface Message {
  readonly v: 1
  /** Who says it. */
  readonly by: string
  readonly kind: 'wait' | 'breaker' | 'token'
  /** What it is about: a digest. */
  readonly about: string
  readonly ms?: number
  readonly generation?: number
}

/** An answer of the store, or that there was none in time. */
export type Answer<T> = { readonly value: T } | undefined

/** After so many answers that were late or failed, one after the other, the store counts as away. */
const maxSlow = 3
/** So long nobody asks it then; ms. */
const awayMs = 5000

/**
 * What all that a client shares stands on: one store under one name. The store may be slow or away at any time: then a
 * policy goes on by what it knows itself, and nobody waits twice.
 */
export class Ground {
  readonly me = uuid()
  readonly services: Services
  readonly store: Store
  readonly name: string
  readonly waitMs: number
  readonly #listeners = new Set<(message: Message) => void>()
  #unlisten: (() => void) | undefined
  #slow = 0
  #awayUntil = 0
  #isTold = false

  constructor(services: Services, store: Store, name: string, waitMs: number) {
    this.services = services
    this.store = store
    this.name = name
    this.waitMs = waitMs
    this.#unlisten = listenTo(store, name, (text) => this.#heard(text), services.telemetry)
  }

  get isHearing(): boolean {
    return this.#unlisten !== undefined
  }

  get isAway(): boolean {
    return this.services.clock.now() < this.#awayUntil
  }

  /** Where something is kept: nobody reads from it whose it is. */
  key(kind: string, about: string): string {
    return `${this.name}/${kind}/${digest(about)}`
  }

  /**
   * Asks the store. Gives nothing where it does not answer in time, or fails, or is away.
   *
   * @param late - told what comes after all.
   */
  ask<T>(run: (store: Store) => T | Promise<T>, waitMs = this.waitMs, late?: (value: T) => void): Promise<Answer<T>> {
    if (this.isAway) return Promise.resolve(undefined)
    const { clock } = this.services
    return new Promise((resolve) => {
      let isOver = false
      const finish = (answer: Answer<T>, cause?: unknown): void => {
        if (isOver) {
          if (answer) late?.(answer.value)
          return
        }
        isOver = true
        timer.clear()
        if (answer) this.#answered()
        else this.#failed(cause)
        resolve(answer)
      }
      const timer = clock.setTimer(() => finish(undefined, new Error(`no answer within ${waitMs} ms`)), waitMs)
      // A store of a user's may throw at once.
      new Promise<T>((settle) => settle(run(this.store))).then(
        (value) => finish({ value }),
        (cause: unknown) => finish(undefined, cause),
      )
    })
  }

  /** Tells all others, as far as they can be reached. */
  tell(message: Omit<Message, 'v' | 'by'>): void {
    if (this.isAway) return
    const text = JSON.stringify({ v: 1, by: this.me, ...message } satisfies Message)
    new Promise((settle) => settle(this.store.tell?.(this.name, text))).catch(() => {})
  }

  hear(listener: (message: Message) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  close(): void {
    this.#unlisten?.()
    this.#unlisten = undefined
    this.#listeners.clear()
  }

  #heard(text: string): void {
    const message = parse<Message>(text)
    if (message?.v !== 1 || message.by === this.me || typeof message.about !== 'string') return
    for (const listener of this.#listeners) listener(message as Message)
  }

  #answered(): void {
    if (this.#isTold) this.#report('back', undefined)
    this.#slow = 0
    this.#isTold = false
  }

  #failed(cause: unknown): void {
    if (++this.#slow < maxSlow) return
    this.#awayUntil = this.services.clock.now() + awayMs
    if (!this.#isTold) this.#report('away', cause)
    this.#isTold = true
  }

  #report(state: 'away' | 'back', cause: unknown): void {
    this.services.telemetry?.event?.({ type: 'store', state, cause })
  }
}

/** What a text says; nothing where it is not ours. */
export function parse<T>(text: string | null | undefined): Partial<T> | undefined {
  if (text === undefined || text === null) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? (value as Partial<T>) : undefined
  } catch {
    return undefined
  }
}

/** A short name for a text, the same everywhere: four words of 32 bits. Not for secrets. */
export function digest(text: string): string {
  const words = [0x9e3779b9, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f]
  for (let at = 0; at < text.length; at++)
    for (let word = 0; word < 4; word++) {
      const mixed = Math.imul((words[word] as number) ^ text.charCodeAt(at), 0x01000193 + word * 0x3c6ef35e)
      words[word] = (mixed ^ (mixed >>> 15)) + (words[(word + 1) & 3] as number)
    }
  return words.map((word) => (Math.imul(word ^ (word >>> 16), 0x7feb352d) >>> 0).toString(36)).join('')
}
