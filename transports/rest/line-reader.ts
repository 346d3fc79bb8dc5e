import { join } from '../http/collect.ts'

const recordSeparator = 0x1e
const lineFeed = 0x0a
const incomplete = Symbol('incomplete')
/** Bytes that are no UTF-8 are an error, and never read as something else. */
const decoder = /* @__PURE__ */ new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Cuts the bytes of one response into JSON texts: line by line, or by RFC 7464, whatever the boundaries of the chunks. */
export class JsonLineReader {
  readonly #isSequence: boolean
  readonly #separator: number
  readonly #maxBytes: number
  /** What has come of the text that is not over. */
  #pending: Uint8Array[] = []
  #size = 0
  /** Where the end of what has come stands, of a sequence: only what is closed can be whole. */
  #depth = 0
  #isInText = false
  #isEscaped = false
  /** It is closed, and no JSON: nothing that follows makes one of it. */
  #isBroken = false
  /** A byte order mark may stand before the first text. */
  #isStart = true
  /** More of one text came than is allowed: nothing more is read. */
  isOverflown = false

  /** @param isSequence - of `application/json-seq`: texts stand behind a record separator, and may have several lines. */
  constructor(isSequence: boolean, maxBytes: number) {
    this.#isSequence = isSequence
    this.#separator = isSequence ? recordSeparator : lineFeed
    this.#maxBytes = maxBytes
  }

  /**
   * Gives each value that is whole.
   *
   * @throws {SyntaxError | TypeError} for a text that is whole, and no JSON or no UTF-8.
   */
  feed(bytes: Uint8Array, give: (value: unknown) => void): void {
    if (this.isOverflown) return
    const end = bytes.lastIndexOf(this.#separator)
    if (end >= 0) {
      const texts = this.#take(bytes.subarray(0, end))
      if (texts.byteLength <= this.#maxBytes) this.#readAll(texts, give)
      else this.#readEach(texts, give)
      if (this.isOverflown) return
    }
    this.#hold(bytes.subarray(end + 1))
    if (!this.#isSequence || bytes.at(-1) !== lineFeed || this.isOverflown) return
    if (this.#depth > 0 || this.#isInText || this.#isBroken) return
    // No separator stands behind the last one: it is whole as soon as it can be read.
    const value = this.#peek()
    this.#isBroken = value === incomplete
    if (this.#isBroken) return
    this.#take()
    if (value !== undefined) give(value)
  }

  /**
   * The body has ended well: its last line need not have a line end.
   *
   * @returns whether nothing is left: false where a text was cut.
   */
  end(give: (value: unknown) => void): boolean {
    const value = this.#peek()
    this.#take()
    // Half of a number is a number, too.
    if (value === incomplete || typeof value === 'number') return false
    if (value !== undefined) give(value)
    return true
  }

  #hold(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return
    this.#pending.push(bytes)
    this.#size += bytes.byteLength
    if (this.#isSequence) this.#scan(bytes)
    if (this.#size > this.#maxBytes) this.#overflow()
  }

  /** Each byte once: to look at all that is pending for each line of a text would take forever. */
  #scan(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (this.#isEscaped) this.#isEscaped = false
      else if (byte === 0x22) this.#isInText = !this.#isInText
      else if (this.#isInText) this.#isEscaped = byte === 0x5c
      else if (byte === 0x5b || byte === 0x7b) this.#depth++
      else if (byte === 0x5d || byte === 0x7d) this.#depth--
    }
  }

  #overflow(): void {
    this.isOverflown = true
    this.#take()
  }

  /** What is pending, and `more` of it. */
  #take(more?: Uint8Array): Uint8Array {
    if (more && this.#size === 0) return more
    const chunks = more ? [...this.#pending, more] : this.#pending
    const size = this.#size + (more?.byteLength ?? 0)
    this.#pending = []
    this.#size = this.#depth = 0
    this.#isInText = this.#isEscaped = this.#isBroken = false
    return chunks.length === 1 ? (chunks[0] as Uint8Array) : join(chunks, size)
  }

  /** Texts with a separator between each: decoded at once. */
  #readAll(texts: Uint8Array, give: (value: unknown) => void): void {
    let text: string
    try {
      text = decoder.decode(texts)
    } catch {
      // Those before the broken one are whole.
      this.#readEach(texts, give)
      return
    }
    const separator = this.#isSequence ? '\u001e' : '\n'
    let from = 0
    for (let at = text.indexOf(separator); at >= 0; at = text.indexOf(separator, from)) {
      this.#give(text.slice(from, at), give)
      from = at + 1
    }
    this.#give(from === 0 ? text : text.slice(from), give)
  }

  /** The same one by one, each within its bound. */
  #readEach(texts: Uint8Array, give: (value: unknown) => void): void {
    for (let from = 0; from <= texts.byteLength; ) {
      const at = texts.indexOf(this.#separator, from)
      const to = at < 0 ? texts.byteLength : at
      if (to - from > this.#maxBytes) {
        this.#overflow()
        return
      }
      this.#give(decoder.decode(texts.subarray(from, to)), give)
      from = to + 1
    }
  }

  #give(text: string, give: (value: unknown) => void): void {
    const value = this.#parse(text)
    this.#isStart = false
    if (value === undefined) return
    if (this.#isSequence && typeof value === 'number' && !/\s$/.test(text))
      throw new SyntaxError('a number without an end may be a part of one (RFC 7464 §2.4)')
    give(value)
  }

  /** What is pending, where it is whole; undefined where there is nothing. */
  #peek(): unknown {
    try {
      return this.#parse(decoder.decode(join(this.#pending, this.#size)))
    } catch {
      return incomplete
    }
  }

  #parse(text: string): unknown {
    const json = this.#isStart && text.startsWith('\ufeff') ? text.slice(1) : text
    return json.trim() === '' ? undefined : JSON.parse(json)
  }
}
