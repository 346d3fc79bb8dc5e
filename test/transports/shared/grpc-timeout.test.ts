import { describe, expect, it } from 'vitest'
import { grpcTimeout, grpcTimeoutMs } from '../../../transports/shared/grpc-timeout.ts'

describe('grpc-timeout', () => {
  it.each([
    [1, '1m'],
    [1500.7, '1501m'],
    [0.2, '1m'],
    [0, '1m'],
    [-5, '1m'],
    [99_999_999, '99999999m'],
    [99_999_999.5, '100000S'],
    [1e9 + 0.5, '1000001S'],
    [2 ** 31, '2147483S'],
    [1e15, '2147483S'],
    [Number.MAX_VALUE, '2147483S'],
    [Number.NaN, '1m'],
  ])('%s ms is sent as %s', (remainingMs, header) => {
    expect(grpcTimeout(remainingMs)).toBe(header)
  })

  it('is not sent where nothing bounds the call', () => {
    expect(grpcTimeout(Number.POSITIVE_INFINITY)).toBeUndefined()
    expect(grpcTimeoutMs(Number.POSITIVE_INFINITY)).toBeUndefined()
  })

  it.each([
    [1500.7, 1501],
    [0, 1],
    [1e12, 99_999_999],
  ])('%s ms is a whole number of at most eight digits for other transports', (remainingMs, ms) => {
    expect(grpcTimeoutMs(remainingMs)).toBe(ms)
  })
})
