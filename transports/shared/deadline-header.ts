import type { Call } from '../../src/core/call/call.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { grpcTimeout } from './grpc-timeout.ts'

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
  const [name, unit] = typeof profile === 'string' ? (profiles[profile] ?? []) : [profile.name, profile.unit]
  if (typeof name !== 'string' || !/^[!#$%&'*+\-.^_`|~\w]+$/.test(name) || (unit !== 'ms' && unit !== 's'))
    throw refusal(`deadlineHeader is the name of a profile, or { name, unit: 'ms' | 's' }`, undefined)
  const header = name.toLowerCase()
  return (remainingMs) => [header, String(wholeMs(remainingMs) / (unit === 's' ? 1000 : 1))]
}

const profiles: Readonly<Record<string, readonly [name: string, unit: 'ms' | 's']>> = {
  'connect-timeout-ms': ['connect-timeout-ms', 'ms'],
  'x-envoy': ['x-envoy-upstream-rq-timeout-ms', 'ms'],
  'x-envoy-expected-rq-timeout-ms': ['x-envoy-expected-rq-timeout-ms', 'ms'],
  'x-server-timeout': ['x-server-timeout', 's'],
  'x-stainless-timeout': ['x-stainless-timeout', 's'],
}

/** Rounded up, so that a deadline that is nearly over is not sent as none. */
function wholeMs(remainingMs: number): number {
  return Math.min(Math.max(1, Math.ceil(remainingMs)), maxMs)
}
