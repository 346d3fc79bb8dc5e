/** The boundary of a `multipart/mixed`, quoted or not; undefined where none is named. RFC 2046. */
export function boundaryOf(contentType: string): string | undefined {
  const found = /;\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/i.exec(contentType)
  const boundary = found?.[1]?.replace(/\\(.)/g, '$1') ?? found?.[2]
  return boundary === '' ? undefined : boundary
}

/** Longer ones of a part are no headers; characters. */
const maxHeaders = 65_536

/**
 * How deep in JSON one is behind a text, in fours; 1 more within a string, 2 more behind a backslash there. 0: where a
 * value may be whole.
 */
function depthBehind(text: string, before: number): number {
  let depth = before
  for (let at = 0; at < text.length; at++) {
    const letter = text[at]
    if (depth & 2) depth -= 2
    else if (letter === '"') depth ^= 1
    else if (depth & 1) depth += letter === '\\' ? 2 : 0
    else if (letter === '{' || letter === '[') depth += 4
    else if (letter === '}' || letter === ']') depth -= 4
  }
  return depth
}

/** Reads a text that may not be whole; undefined where it is not. */
export type ReadPart = (text: string) => { readonly value: unknown } | undefined

/**
 * Cuts a body of `multipart/mixed` into its JSON parts, whatever the boundaries of the chunks.
 *
 * A part is given as soon as it is whole: many servers write the line that ends it only with the next part.
 */
export class MixedReader {
  readonly #decoder = new TextDecoder()
  readonly #delimiter: string
  readonly #read: ReadPart
  /** What has come of this part, up to {@link #tail}. */
  #parts: string[] = []
  /** What may be the beginning of a delimiter, or of what ends the headers. */
  #tail = '\n'
  /** {@link depthBehind} what has come of this part. */
  #depth = 0
  #state: 'preamble' | 'headers' | 'body' | 'given' | 'over' = 'preamble'

  constructor(boundary: string, read: ReadPart) {
    this.#delimiter = `\n--${boundary}`
    this.#read = read
  }

  /** The last delimiter has come: whatever follows is none of the server's answer. */
  get isOver(): boolean {
    return this.#state === 'over'
  }

  /**
   * Gives each part that is whole.
   *
   * @throws {SyntaxError} for a part that is over, and no JSON.
   */
  feed(bytes: Uint8Array, give: (value: unknown) => void): void {
    let text = this.#tail + this.#decoder.decode(bytes, { stream: true })
    this.#tail = ''
    while (text !== '' && this.#state !== 'over') {
      const rest = this.#state === 'headers' ? this.#skipHeaders(text) : this.#untilDelimiter(text, give)
      if (rest === undefined) break
      text = rest
    }
    this.#giveEarly(give)
  }

  /**
   * The body has ended.
   *
   * @returns whether nothing is left of a part: false where one was cut.
   */
  end(): boolean {
    const isWhole =
      this.#state === 'over' || this.#state === 'given' || `${this.#parts.join('')}${this.#tail}`.trim() === ''
    this.#parts = []
    this.#tail = ''
    this.#state = 'over'
    return isWhole
  }

  /** @returns what follows the headers of a part; undefined where they are not over. */
  #skipHeaders(text: string): string | undefined {
    const none = /^\r?\n/.exec(text)
    const end = none ?? /\r?\n\r?\n/.exec(text)
    if (!end) {
      if (text.length > maxHeaders) throw new SyntaxError('the headers of a part do not end')
      this.#tail = text
      return undefined
    }
    this.#state = 'body'
    this.#depth = 0
    // The line end before a delimiter is the delimiter's: a part that is empty has but one.
    return `\n${text.slice(end.index + end[0].length)}`
  }

  /** @returns what follows the line of a delimiter; undefined where there is none yet. */
  #untilDelimiter(text: string, give: (value: unknown) => void): string | undefined {
    for (let from = 0; ; ) {
      const at = text.indexOf(this.#delimiter, from)
      if (at < 0) return this.#keep(text, text.length - this.#delimiter.length + 1)
      const after = at + this.#delimiter.length
      const isLast = text.startsWith('--', after)
      const line = isLast ? undefined : /^[ \t]*\r?\n/.exec(text.slice(after, after + 1024))
      if (isLast || line) {
        this.#flush(text.slice(0, at), give)
        this.#state = isLast ? 'over' : 'headers'
        return line ? text.slice(after + line[0].length) : ''
      }
      // It may be the first characters of such a line; else it is a text that looks alike.
      if (/^(?:-|[ \t]*\r?)$/.test(text.slice(after, after + 1024))) return this.#keep(text, at)
      from = after
    }
  }

  /** What stands before the line that ends it, or what may become one. */
  #giveEarly(give: (value: unknown) => void): void {
    if (this.#state !== 'body') return
    const tail = this.#tail
    const at = tail.indexOf('\n')
    const end = tail.slice(at)
    const isDelimiter = at >= 0 && (this.#delimiter.startsWith(end) || end.startsWith(this.#delimiter))
    const rest = isDelimiter ? tail.slice(0, at) : tail
    // Read once, when it is whole: it may be large, and come in thousands of chunks.
    if (depthBehind(rest, this.#depth) !== 0) return
    const early = this.#read(this.#parts.join('') + rest)
    if (!early) return
    this.#parts = []
    this.#state = 'given'
    give(early.value)
  }

  #keep(text: string, at: number): undefined {
    const cut = Math.max(0, at)
    if (this.#state === 'body') {
      const sure = text.slice(0, cut)
      this.#parts.push(sure)
      this.#depth = depthBehind(sure, this.#depth)
    }
    this.#tail = text.slice(cut)
  }

  #flush(rest: string, give: (value: unknown) => void): void {
    const text = this.#parts.join('') + rest
    const { length } = text.trim()
    this.#parts = []
    if (this.#state !== 'body' || length === 0) return
    const part = this.#read(text)
    if (!part) throw new SyntaxError('a part is no JSON')
    give(part.value)
  }
}
