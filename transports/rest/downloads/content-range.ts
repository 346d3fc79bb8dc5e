/** Which part of a representation a response holds. */
export interface ContentRange {
  /** Undefined where no byte could be given: as in the answer 416. */
  readonly range: { readonly first: number; readonly last: number } | undefined
  /** Of the whole; undefined where the server does not know it. */
  readonly total: number | undefined
}

/** Reads `Content-Range` (RFC 9110 §14.4); undefined for what is malformed, contradicts itself, or is not of bytes. */
export function parseContentRange(header: string | null): ContentRange | undefined {
  const parsed = /^\s*bytes\s+(?:(\d{1,15})-(\d{1,15})|\*)\/(?:(\d{1,15})|\*)\s*$/i.exec(header ?? '')
  if (!parsed) return undefined
  const [, first, last, size] = parsed
  const total = size === undefined ? undefined : Number(size)
  if (first === undefined) return total === undefined ? undefined : { range: undefined, total }
  const range = { first: Number(first), last: Number(last) }
  if (range.last < range.first || (total !== undefined && range.last >= total)) return undefined
  return { range, total }
}

/** The first byte of `bytes=100-`, the one form of `Range` by which a download begins; undefined for any other. */
export function firstByteOf(range: string): number | undefined {
  const first = /^\s*bytes\s*=\s*(\d{1,15})-\s*$/i.exec(range)?.[1]
  return first === undefined ? undefined : Number(first)
}
