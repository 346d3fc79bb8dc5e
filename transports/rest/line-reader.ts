const recordSeparator = '\u001e'
const incomplete = Symbol('incomplete')

/** Cuts the bytes of one response into JSON texts: line by line, or by RFC 7464, whatever the boundaries of the chunks. */
export class JsonLineReader {
  readonly #decoder = new TextDecoder()
  readonly #isSequence: boolean
  readonly #maxLength: number
  /** What has come of the text that is not over. */
  #parts: string[] = []
  #length = 0
  /** More of one text came than is allowed: nothing more is read. */
  isOverflown = false

  /** @param isSequence - of `application/json-seq`: texts stand behind a record separator, and may have several lines. */
  constructor(isSequence: boolean, maxLength: number) {
    this.#isSequence = isSequence
    this.#maxLength = maxLength
  }

  /**
   * Gives each value that is whole.
   *
   * @throws {SyntaxError} for a text that is whole, and no JSON.
   */
  feed(bytes: Uint8Array, give: (value: unknown) => void): void {
    if (this.isOverflown) return
    const text = this.#decoder.decode(bytes, { stream: true })
    const separator = this.#isSequence ? recordSeparator : '\n'
    let from = 0
    for (let at = text.indexOf(separator); at >= 0; at = text.indexOf(separator, from)) {
      this.#hold(text.slice(from, at))
      if (this.isOverflown) return
      from = at + 1
      this.#flush(give)
    }
    this.#hold(text.slice(from))
    if (!this.#isSequence || !text.endsWith('\n') || this.isOverflown) return
    // No separator stands behind the last one: it is whole as soon as it can be read.
    const value = this.#read()
    if (value === incomplete) return
    this.#clear()
    if (value !== undefined) give(value)
  }

  /**
   * The body has ended well: its last line need not have a line end.
   *
   * @returns whether nothing is left: false where a text was cut.
   */
  end(give: (value: unknown) => void): boolean {
    this.#hold(this.#decoder.decode())
    const value = this.#read()
    this.#clear()
    // Half of a number is a number, too.
    if (value === incomplete || typeof value === 'number') return false
    if (value !== undefined) give(value)
    return true
  }

  #hold(text: string): void {
    if (text === '') return
    this.#parts.push(text)
    this.#length += text.length
    if (this.#length > this.#maxLength) {
      this.isOverflown = true
      this.#clear()
    }
  }

  #flush(give: (value: unknown) => void): void {
    const text = this.#parts.join('')
    this.#clear()
    if (text.trim() !== '') give(JSON.parse(text))
  }

  /** Undefined where there is nothing. */
  #read(): unknown {
    const text = this.#parts.join('')
    if (text.trim() === '') return undefined
    try {
      return JSON.parse(text)
    } catch {
      return incomplete
    }
  }

  #clear(): void {
    this.#parts = []
    this.#length = 0
  }
}
