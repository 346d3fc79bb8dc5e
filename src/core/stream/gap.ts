import { isObject } from '../tag.ts'
/** Messages that a stream has lost, or may have lost: stands in the iterator where they would have stood. */
export interface Gap {
  readonly kind: 'gap'
  /** `offset`: numbers are missing. `epoch`: the server's history began anew. `not_recovered`: the server says so. `no_cursor`: it gives none. `overflow`: the reader was too slow. `repeat`: nothing is missing, but the last messages come again, since no cursor came behind them. */
  readonly reason: 'offset' | 'epoch' | 'not_recovered' | 'no_cursor' | 'overflow' | 'repeat'
  /** The last cursor before it. */
  readonly from: string | undefined
  /** The first cursor after it, where known. */
  readonly to: string | undefined
  /** How many were lost, where known. */
  readonly lost?: number
  /** How many of the messages before it come again behind it. */
  readonly repeated?: number
}

/** What stands in the place of lost messages. */
export type Resync = (gap: Gap) => Iterable<unknown> | Promise<Iterable<unknown>>

const gaps = new WeakSet<object>()

/** Makes the item that stands for lost messages. */
export function gap(fields: Omit<Gap, 'kind'>): Gap {
  const made: Gap = Object.freeze({ kind: 'gap', ...fields })
  gaps.add(made)
  return made
}

/** Whether an item of a stream with `gaps: 'yield'` stands for lost messages. */
export function isGap(item: unknown): item is Gap {
  return isObject(item) && gaps.has(item)
}
