/** The longest that servers can be trusted to hold: 24.8 days; a Node server's timer fires at once above it. */
const maxSeconds = 2_147_483
/** The spec allows eight digits. */
const maxDigits = 99_999_999

/**
 * What is left of a deadline as `grpc-timeout` says it: a positive integer of at most eight digits and its unit,
 * rounded up; undefined where nothing bounds the call.
 *
 * Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 *
 * @param remainingMs - fractions and any size are fine; what is over becomes the shortest timeout there is.
 */
export function grpcTimeout(remainingMs: number): string | undefined {
  if (remainingMs === Number.POSITIVE_INFINITY) return undefined
  const ms = wholeMs(remainingMs)
  return ms <= maxDigits ? `${ms}m` : `${Math.min(Math.ceil(ms / 1000), maxSeconds)}S`
}

/** The same as a number, for transports that write the header themselves, in ms and unscaled: capped at 27.7 hours. */
export function grpcTimeoutMs(remainingMs: number): number | undefined {
  return remainingMs === Number.POSITIVE_INFINITY ? undefined : Math.min(wholeMs(remainingMs), maxDigits)
}

/** Rounded up, so that a deadline that is nearly over is not sent as none. */
export function wholeMs(remainingMs: number): number {
  return remainingMs >= 1 ? Math.ceil(remainingMs) : 1
}
