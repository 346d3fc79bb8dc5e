/** What the clocks of a client and of its server may differ by, for the offset to be recognised; ms. */
const maxSkewMs = 30 * 24 * 3_600_000
const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_'
const yeast = /^([0-9A-Za-z_-]{7,8})(?:\.[0-9A-Za-z_-]+)?$/
const streamId = /^(\d{13})-\d+$/
const objectId = /^([0-9a-f]{8})[0-9a-f]{16}$/

/**
 * Whether the last argument of an event is the offset that the server's adapter adds where it recovers connections: the
 * adapters in memory and in a cluster write the time in base 64, Redis streams a stream id, MongoDB an object id. All
 * hold the time, and nothing else tells them from an argument of the event itself, such as that of a volatile event.
 *
 * @param wallNow - ms since 1970.
 */
export function isRecoveryOffset(last: string, wallNow: number): boolean {
  const at = timeIn(last)
  return at !== undefined && Math.abs(at - wallNow) < maxSkewMs
}

function timeIn(text: string): number | undefined {
  const ofYeast = yeast.exec(text)?.[1]
  if (ofYeast) return [...ofYeast].reduce((sum, digit) => sum * 64 + digits.indexOf(digit), 0)
  const ofStream = streamId.exec(text)?.[1]
  if (ofStream) return Number(ofStream)
  const ofObject = objectId.exec(text)?.[1]
  return ofObject === undefined ? undefined : Number.parseInt(ofObject, 16) * 1000
}
