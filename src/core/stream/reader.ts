import { addCaller } from '../errors/error.ts'
import { isGap } from './gap.ts'
import type { Item, MessageSource, SourceEnd } from './source.ts'

/** What the reader asks of the stream that it reads for. */
export interface ReaderOwner {
  /** Opens the stream; a failure has been noted with {@link StreamReader.finish} by then. */
  open(): Promise<unknown>
  /** A message could not be converted, which the reader throws: closes the stream. */
  unreadable(error: unknown): void
  /** All has been read: the stream is over. */
  ended(end: SourceEnd): void
  /** From a wire message to what the user gets; undefined where nothing is to be done. */
  readonly convert: ((message: unknown) => unknown | Promise<unknown>) | undefined
}

interface Conversion {
  resolve(result: IteratorResult<never>): void
  reject(error: unknown): void
}

/** Never changed. */
const nothing: Item[] = []
const done: IteratorResult<never> = /* @__PURE__ */ Object.freeze({
  value: undefined,
  done: true,
}) as IteratorResult<never>

/** Takes messages in batches from a source and gives them one by one, with the cursor of what was consumed. */
export class StreamReader<Message> {
  readonly #owner: ReaderOwner
  readonly #convert: ReaderOwner['convert']
  #source: MessageSource | undefined
  #batch: Item[] = nothing
  #index = 0
  /** Of the message handed out last; consumed when the next one is asked for. */
  #delivered: string | undefined
  /** Of the last message that was consumed; empty where the server took it back. */
  cursor: string | undefined
  /** The slow step in progress, the last of those that wait for one another. */
  #pull: Promise<unknown> | undefined
  /** How many they are. */
  #waiting = 0
  /** Messages that are being converted: whoever waits for one is let go when the stream is left. */
  #conversions: Set<Conversion> | undefined
  /** Told when all that came is consumed, before more is waited for. */
  onIdle: (() => void) | undefined
  /** The stream is over for its reader. */
  isOver = false
  /** It has failed, and nobody has been told yet. */
  #failure: { readonly error: unknown } | undefined

  constructor(owner: ReaderOwner) {
    this.#owner = owner
    this.#convert = owner.convert
  }

  /** A `next()` is waiting. */
  get isReading(): boolean {
    return this.#pull !== undefined
  }

  attach(source: MessageSource): void {
    this.#source = source
  }

  /**
   * Nothing more is read; an error is told once, by the next `next()`. False where the stream was over.
   *
   * @param isLeft - by the caller, who waits for nothing any more, and not by an end behind all messages.
   */
  finish(error: unknown, isLeft: boolean): boolean {
    if (this.isOver) return false
    this.isOver = true
    this.#batch = nothing
    this.#index = 0
    if (error !== undefined) this.#failure = { error }
    if (isLeft && this.#conversions) this.#letGo(this.#conversions)
    this.#source?.close(error)
    return true
  }

  next(): Promise<IteratorResult<Message>> {
    const before = this.#pull
    if (!before) {
      this.cursor = this.#delivered
      const item = this.#batch[this.#index]
      if (item !== undefined) return this.#give(item)
    }
    // One slow step after the other, however many are waiting.
    this.#waiting++
    const result = before ? this.#behind(before) : this.#advance()
    this.#pull = this.#waiting > 0 ? result : undefined
    return result
  }

  /** Gives what is there without a promise a message; nothing where messages are converted, or a `next()` is waiting. */
  drain(give: (message: Message) => void): void {
    if (this.#convert || this.#pull || !this.#source) return
    while (!this.isOver && (this.#batch.length > 0 || this.#fill(this.#source.take()))) {
      this.cursor = this.#delivered
      const { cursor, message } = this.#batch[this.#index] as Item
      if (cursor !== undefined) this.#delivered = cursor
      if (++this.#index === this.#batch.length) {
        this.#batch = nothing
        this.#index = 0
      }
      give(message as Message)
    }
  }

  #behind(before: Promise<unknown>): Promise<IteratorResult<Message>> {
    const step = () => this.#advance()
    return before.then(step, step)
  }

  /** Clears up after itself: thousands of streams may be waiting here, each with all that hangs on its promise. */
  async #advance(): Promise<IteratorResult<Message>> {
    try {
      this.cursor = this.#delivered
      if (!this.#source && !this.isOver) await this.#owner.open().catch(noop)
      for (let hasWaited = false; ; hasWaited = true) {
        const item = this.#batch[this.#index]
        if (item !== undefined) return this.#give(item)
        if (this.#failure) throw addCaller(this.#told(this.#failure))
        const source = this.#source
        if (this.isOver || !source) return done
        const batch = source.take()
        if (batch) {
          this.#batch = batch
          this.#index = 0
          continue
        }
        // An end wakes at once: it is looked for behind a wait for nothing.
        const end = hasWaited ? source.end : undefined
        if (end) {
          this.#owner.ended(end)
          continue
        }
        // All that came is consumed: skipped messages too, whose cursors count.
        this.cursor = this.#delivered = source.cursor ?? this.#delivered
        this.onIdle?.()
        await source.ready()
      }
    } finally {
      if (--this.#waiting === 0) this.#pull = undefined
    }
  }

  #fill(batch: Item[] | undefined): boolean {
    if (!batch) return false
    this.#batch = batch
    this.#index = 0
    return true
  }

  #give(item: Item): Promise<IteratorResult<Message>> {
    if (item.cursor !== undefined) this.#delivered = item.cursor
    if (++this.#index === this.#batch.length) {
      this.#batch = nothing
      this.#index = 0
    }
    const convert = this.#convert
    const { message } = item
    if (!convert || item.isFinal || isGap(message)) return Promise.resolve({ value: message as Message, done: false })
    try {
      const value = convert(message)
      if (value instanceof Promise) return this.#whenConverted(value)
      return Promise.resolve({ value: value as Message, done: false })
    } catch (error) {
      this.#owner.unreadable(error)
      return Promise.reject(error)
    }
  }

  /** Asynchronous validation is waited for no longer than the stream lasts. */
  #whenConverted(value: Promise<Message>): Promise<IteratorResult<Message>> {
    return new Promise((resolve, reject) => {
      const conversions = (this.#conversions ??= new Set())
      const conversion = { resolve, reject }
      conversions.add(conversion)
      value.then(
        (converted) => {
          conversions.delete(conversion)
          resolve({ value: converted, done: false })
        },
        (error: unknown) => {
          if (!conversions.delete(conversion)) return
          this.#owner.unreadable(error)
          reject(error)
        },
      )
    })
  }

  /** The first one is told why, as the next `next()` would be. */
  #letGo(conversions: Set<Conversion>): void {
    for (const { resolve, reject } of conversions) {
      if (this.#failure) reject(this.#told(this.#failure))
      else resolve(done)
    }
    conversions.clear()
  }

  #told({ error }: { readonly error: unknown }): unknown {
    this.#failure = undefined
    return error
  }
}

function noop(): void {}
