/** What is counted. */
export interface Measured {
  readonly message: unknown
  /** Undefined until somebody else wants room. */
  size: number | undefined
}

/** Counts what waits against its limits; a message alone is never measured, since that may mean writing it down twice. */
export class OutboxBounds {
  readonly #maxMessages: number
  readonly #maxBytes: number
  readonly #measure: (message: unknown) => number
  #count = 0
  #bytes = 0
  /** The only one that nobody has measured: it came when there was no other. */
  #unmeasured: Measured | undefined

  constructor(maxMessages: number, maxBytes: number, measure: (message: unknown) => number) {
    this.#maxMessages = maxMessages
    this.#maxBytes = maxBytes
    this.#measure = measure
  }

  get isEmpty(): boolean {
    return this.#count === 0
  }

  /** Whether one more may wait beside the others; one alone always may. */
  hasRoom(entry: Measured): boolean {
    if (this.#count === 0) return true
    if (this.#count >= this.#maxMessages) return false
    const first = this.#unmeasured
    this.#unmeasured = undefined
    if (first) this.#bytes += this.#weigh(first)
    return this.#bytes + this.#weigh(entry) <= this.#maxBytes
  }

  add(entry: Measured): void {
    if (this.#count++ === 0) this.#unmeasured = entry
    else this.#bytes += this.#weigh(entry)
  }

  remove(entry: Measured): void {
    this.#count--
    if (this.#unmeasured === entry) this.#unmeasured = undefined
    else this.#bytes -= this.#weigh(entry)
  }

  clear(): void {
    this.#count = 0
    this.#bytes = 0
    this.#unmeasured = undefined
  }

  #weigh(entry: Measured): number {
    entry.size ??= this.#measure(entry.message)
    return entry.size
  }
}
