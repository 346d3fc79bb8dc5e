const lf = 10
const cr = 13

/** Where events end in the bytes of an event stream, for who begins to read in its middle. */
export class EventBoundary {
  /** The last three bytes. */
  #tail: readonly number[] = []

  /** What comes next begins an event. */
  get isBetweenEvents(): boolean {
    const [a, b, c] = [undefined, undefined, undefined, ...this.#tail].slice(-3)
    return c === undefined || (b === lf && c === lf) || (b === cr && c === cr) || (a === lf && b === cr && c === lf)
  }

  /** Notes that `bytes` have been read. */
  passed(bytes: Uint8Array): void {
    this.#tail = [...this.#tail, ...bytes.subarray(-3)].slice(-3)
  }

  /** Behind the first blank line in the bytes that come next; -1 where there is none. The second half of a CRLF may follow. */
  next(bytes: Uint8Array): number {
    let last = this.#tail.at(-1)
    let isAtLineStart = last === lf || last === cr
    for (const [index, byte] of bytes.entries()) {
      const isLineEnd = byte === cr || (byte === lf && last !== cr)
      if (isLineEnd && isAtLineStart) return index + 1
      isAtLineStart = isLineEnd || (byte === lf && isAtLineStart)
      last = byte
    }
    return -1
  }
}
