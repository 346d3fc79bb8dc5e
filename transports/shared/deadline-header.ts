import type { Call } from '../../src/core/call/call.ts'
import { token } from '../../src/core/call/header-map.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { grpcTimeout, wholeMs } from './grpc-timeout.ts'

/**
 * The request header that tells a server how long the caller will still wait.
 *
 * `grpc-timeout`: `1500m`. `connect-timeout-ms`: `1500`. `x-envoy`: `x-envoy-upstream-rq-timeout-ms: 1500`, which Envoy
 * hands on as `x-envoy-expected-rq-timeout-ms`. `x-server-timeout`: seconds, as Google's HTTP APIs take it;
 * `x-stainless-timeout`: seconds, as OpenAI's and others' clients send it. Or a name and unit of your own.
 */
export type DeadlineHeader =
  | 'grpc-timeout'
  | 'connect-timeout-ms'
  | 'x-envoy'
  | 'x-envoy-expected-rq-timeout-ms'
  | 'x-server-timeout'
  | 'x-stainless-timeout'
  | { readonly name: string; readonly unit: 'ms' | 's' }

/** Name and value for the remaining time in ms. */
export type DeadlineWriter = (remainingMs: number) => readonly [name: string, value: string]

/** Connect allows ten digits; nothing waits longer than 115 days. */
const maxMs = 9_999_999_999

/** The units of the headers that profiles are named after. */
const units: Readonly<Record<string, 'ms' | 's'>> = {
  'connect-timeout-ms': 'ms',
  'x-envoy-upstream-rq-timeout-ms': 'ms',
  'x-envoy-expected-rq-timeout-ms': 'ms',
  'x-server-timeout': 's',
  'x-stainless-timeout': 's',
}

/** Adds what is left of a deadline to the headers of an attempt, where it goes on the wire. */
export function addDeadline(headers: Record<string, string>, call: Call, write: DeadlineWriter | undefined): void {
  if (!write || !call.isDeadlineSent) return
  const [name, value] = write(call.remainingMs)
  headers[name] = value
}

/** The writer of what a transport takes as its `deadlineHeader`. */
export function deadlineWriter(profile: DeadlineHeader | undefined): DeadlineWriter | undefined {
  return profile === undefined ? undefined : deadlineHeader(profile)
}

/**
 * How a face writes what is left of a deadline: where nobody needs it, nobody pays for its profiles.
 *
 * @throws {CallError} `invalid_argument` where the profile is unknown.
 * @example
 * const fetch = createFetch({ origin: 'https://api.example.com', deadlineHeader: deadlineHeader('grpc-timeout') })
 */
export function deadlineHeader(profile: DeadlineHeader): DeadlineWriter {
  if (profile === 'grpc-timeout') return (remainingMs) => [profile, grpcTimeout(remainingMs) ?? '']
  const named = profile === 'x-envoy' ? 'x-envoy-upstream-rq-timeout-ms' : profile
  const { name, unit } = typeof named === 'string' ? { name: named, unit: units[named] } : named
  const header = typeof name === 'string' ? name.toLowerCase() : ''
  if (!token.test(header) || (unit !== 'ms' && unit !== 's'))
    throw refusal(`deadlineHeader takes a profile, or { name, unit: 'ms' | 's' }`, undefined)
  return (remainingMs) => [header, String(Math.min(wholeMs(remainingMs), maxMs) / (unit === 's' ? 1000 : 1))]
}
