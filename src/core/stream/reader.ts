import { isGap } from './gap.ts'
import type { Item, MessageSource, SourceEnd } from './source.ts'

/** What the reader asks of the stream that it reads for. */
export interface ReaderOwner {
  /** Opens the stream; a failure has been noted with {@link StreamReader.finish} by then. */
  open(): Promise<unknown>
  /** A message could not be converted, which the reader throws: closes the stream. */
  close(error: unknown): void
  /** All has been read: the stream is over. */
  ended(end: SourceEnd): void
  /** From a wire message to what the user gets; undefined where nothing is to be done. */
  readonly convert: ((message: unknown) => unknown | Promise<unknown>) | undefined
}

/** Never changed. */
const nothing: Item[] = []
const done: IteratorResult<never> = Object.freeze({ value: undefined, done: true }) as IteratorResult<never>

/** Takes messages in batches from a source and gives them one by one, with the cursor of what was consumed. */
export class StreamReader<Message> {
  readonly #owner: ReaderOwner
  #source: MessageSource | undefined
  #batch: Item[] = nothing
  #index = 0
  /** Of the message handed out last; consumed when the next one is asked for. */
  #delivered: string | undefined
  #consumed: string | undefined
  /** The slow step in progress, the last of those that wait for one another. */
  #pull: Promise<unknown> | undefined
  /** How many they are. */
  #waiting = 0
  #isFinished = false
  /** Told when all that came is consumed, before more is waited for. */
  onIdle: (() => void) | undefined
  /** Failed, and nobody has been told yet. */
  #failure: { readonly error: unknown } | undefined

  constructor(owner: ReaderOwner) {
    this.#owner = owner
  }

  /** Of the last message that was consumed; empty where the server took it back. */
  get cursor(): string | undefined {
    return this.#consumed
  }

  /** A `next()` is waiting. */
  get isReading(): boolean {
    return this.#pull !== undefined
  }

  attach(source: MessageSource): void {
    this.#source = source
  }

  /** Nothing more is read; an error is told once, by the next `next()`. */
  finish(error: unknown): void {
    if (this.#isFinished) return
    this.#isFinished = true
    this.#batch = nothing
    this.#index = 0
    if (error !== undefined) this.#failure = { error }
    this.#source?.close(error)
  }

  next(): Promise<IteratorResult<Message>> {
    if (this.#pull) return this.#queue()
    this.#consumed = this.#delivered
    const item = this.#batch[this.#index]
    return item === undefined ? this.#queue() : this.#give(item)
  }

  /** Gives what is there without a promise a message; nothing where messages are converted, or a `next()` is waiting. */
  drain(give: (message: Message) => void): void {
    if (this.#owner.convert || this.#pull || !this.#source) return
    while (!this.#isFinished && (this.#batch.length > 0 || this.#fill(this.#source))) {
      this.#consumed = this.#delivered
      const { message } = this.#step(this.#batch[this.#index] as Item)
      give(message as Message)
    }
  }

  /** One slow step after the other, however many `next()` are waiting. */
  #queue(): Promise<IteratorResult<Message>> {
    const before = this.#pull
    this.#waiting++
    const result = before ? this.#behind(before) : this.#advance()
    this.#pull = this.#waiting > 0 ? result : undefined
    return result
  }

  #behind(before: Promise<unknown>): Promise<IteratorResult<Message>> {
    const step = () => this.#advance()
    return before.then(step, step)
  }

  /** Clears up after itself: thousands of streams may be waiting here, each with all that hangs on its promise. */
  async #advance(): Promise<IteratorResult<Message>> {
    try {
      this.#consumed = this.#delivered
      if (!this.#source && !this.#isFinished) await this.#owner.open().catch(noop)
      for (;;) {
        const item = this.#batch[this.#index]
        if (item !== undefined) return this.#give(item)
        if (this.#failure) return this.#throwOnce()
        if (this.#isFinished || !this.#source) return done
        if (!this.#refill(this.#source)) await this.#source.ready()
      }
    } finally {
      if (--this.#waiting === 0) this.#pull = undefined
    }
  }

  /** Whether there is something to go on with; no promise of its own, since thousands of streams may be waiting here. */
  #refill(source: MessageSource): boolean {
    if (this.#fill(source)) return true
    if (source.end) {
      this.#owner.ended(source.end)
      return true
    }
    // All that came is consumed: skipped messages too, whose cursors count.
    this.#consumed = this.#delivered = source.cursor ?? this.#delivered
    this.onIdle?.()
    return false
  }

  #fill(source: MessageSource): boolean {
    const batch = source.take()
    if (!batch) return false
    this.#batch = batch
    this.#index = 0
    return true
  }

  #step(item: Item): Item {
    this.#index++
    if (item.cursor !== undefined) this.#delivered = item.cursor
    if (this.#index === this.#batch.length) {
      this.#batch = nothing
      this.#index = 0
    }
    return item
  }

  #give(item: Item): Promise<IteratorResult<Message>> {
    this.#step(item)
    const { convert } = this.#owner
    if (!convert || item.isFinal || isGap(item.message))
      return Promise.resolve({ value: item.message as Message, done: false })
    return this.#converted(convert, item.message)
  }

  #converted(convert: (message: unknown) => unknown, message: unknown): Promise<IteratorResult<Message>> {
    const refuse = (error: unknown): never => {
      this.#owner.close(error)
      throw error
    }
    try {
      const value = convert(message)
      if (!(value instanceof Promise)) return Promise.resolve({ value: value as Message, done: false })
      return value.then((converted: Message) => ({ value: converted, done: false as const }), refuse)
    } catch (error) {
      this.#owner.close(error)
      return Promise.reject(error)
    }
  }

  #throwOnce(): never {
    const error = this.#failure?.error
    this.#failure = undefined
    throw error
  }
}

function noop(): void {}
