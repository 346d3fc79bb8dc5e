/** A cursor that is a number in a history. */
export interface Offset {
  readonly epoch: string
  readonly offset: number
  readonly text: string
}

/** A safe integer behind an optional `epoch:`; anything else is no offset. */
export function readOffset(text: string): Offset | undefined {
  const colon = text.lastIndexOf(':')
  const digits = text.slice(colon + 1)
  const offset = Number(digits)
  const isOffset = digits !== '' && Number.isSafeInteger(offset) && offset >= 0
  return isOffset ? { epoch: text.slice(0, Math.max(colon, 0)), offset, text } : undefined
}

/**
 * What a cursor means that may have been seen: the same message again (`repeat`), or that the server's history began
 * anew (`anew`); undefined for one that was not seen: it is new, or was missing and comes late.
 */
export type Recalled = 'repeat' | 'anew' | undefined

const missing = -1

/** The last offsets of one history, each with the fingerprint of its message. */
export class RecentOffsets {
  readonly limit: number
  /** By their distance from the first one, round and round: a wire writes the usual next one here itself. */
  readonly marks: number[] = []
  readonly first: number
  newest: number

  /**
   * @param limit - how many are remembered.
   * @param after - the offset that the history is first seen after; nothing is known of it and those before.
   */
  constructor(limit: number, after: number) {
    this.limit = limit
    this.first = after + 1
    this.newest = after
  }

  /** Remembers one above the newest; those between are missing. */
  add(offset: number, mark: number): void {
    for (let at = Math.max(this.newest + 1, offset - this.limit + 1); at < offset; at++) this.#set(at, missing)
    this.newest = offset
    this.#set(offset, mark)
  }

  /** What one that is not above the newest means; one that was missing is remembered. */
  recall(offset: number, mark: number): Recalled {
    // Where the stream was opened after a cursor, the message of that cursor may come first: many servers include it.
    if (offset === this.first - 1 && this.newest === offset) return 'repeat'
    if (offset < Math.max(this.first, this.newest - this.limit + 1)) return 'anew'
    const known = this.marks[(offset - this.first) % this.limit]
    if (known === mark) return 'repeat'
    if (known !== missing) return 'anew'
    this.#set(offset, mark)
    return undefined
  }

  #set(offset: number, mark: number): void {
    if (this.limit > 0) this.marks[(offset - this.first) % this.limit] = mark
  }
}
