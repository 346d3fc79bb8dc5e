import { refusal } from '../../src/core/errors/refusal.ts'
import type { DeadlineHeader } from '../shared/deadline-header.ts'

/**
 * A request header that says how long the caller waits: one that Polywire also writes, or a name of your own with its
 * unit; `unix-ms` and `unix-s` are points in time, and only as right as both clocks are.
 */
export type IncomingDeadlineHeader =
  | Extract<DeadlineHeader, string>
  | { readonly name: string; readonly unit: 'ms' | 's' | 'unix-ms' | 'unix-s' }

/** What is left for the caller of a request, in ms; undefined where its headers say nothing that can be read. */
export type DeadlineReader = (header: (name: string) => string | undefined) => number | undefined

type Parse = (text: string) => number | undefined

const grpcUnits: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }
const plain = /^\d{1,15}(?:\.\d{1,9})?$/

/** A count of a unit; 0 means that the caller has no time left. */
const counted =
  (msPerUnit: number): Parse =>
  (text) =>
    plain.test(text) ? Number(text) * msPerUnit : undefined

/** The same where 0 says that nothing bounds the request (Envoy), or less than a whole second (truncated clients). */
const above0 =
  (msPerUnit: number): Parse =>
  (text) =>
    counted(msPerUnit)(text) || undefined

const byUnit: Readonly<Record<string, Parse>> = {
  ms: counted(1),
  s: counted(1000),
  'unix-ms': (text) => sinceNow(counted(1)(text)),
  'unix-s': (text) => sinceNow(counted(1000)(text)),
}

const known: Readonly<Record<Extract<DeadlineHeader, string>, readonly [name: string, parse: Parse]>> = {
  'grpc-timeout': ['grpc-timeout', grpcTimeout],
  'connect-timeout-ms': ['connect-timeout-ms', counted(1)],
  'x-envoy': ['x-envoy-upstream-rq-timeout-ms', above0(1)],
  'x-envoy-expected-rq-timeout-ms': ['x-envoy-expected-rq-timeout-ms', above0(1)],
  'x-server-timeout': ['x-server-timeout', above0(1000)],
  'x-stainless-timeout': ['x-stainless-timeout', above0(1000)],
}

/**
 * Reads the deadline of a request: the shortest of those that its headers name; what cannot be read says nothing.
 *
 * @throws {CallError} `invalid_argument` where a header is none.
 */
export function deadlineReader(headers: readonly IncomingDeadlineHeader[] | false | undefined): DeadlineReader {
  if (headers === false) return () => undefined
  const parsers = headers === undefined ? Object.values(known) : headers.map(parserOf)
  return (header) => {
    let shortest: number | undefined
    for (const [name, parse] of parsers) {
      const text = header(name)
      const ms = text === undefined ? undefined : parse(text)
      if (ms !== undefined && (shortest === undefined || ms < shortest)) shortest = ms
    }
    return shortest
  }
}

function parserOf(header: IncomingDeadlineHeader): readonly [name: string, parse: Parse] {
  const own = typeof header === 'object' && header !== null ? byUnit[header.unit] : undefined
  const found = typeof header === 'string' ? known[header] : own && ([header.name.toLowerCase(), own] as const)
  if (found) return found
  const words = `a name such as 'grpc-timeout', or { name, unit: 'ms' | 's' | 'unix-ms' | 'unix-s' }`
  throw refusal(`deadlineHeaders takes ${words}`, undefined)
}

/** At most eight digits and a unit. Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
function grpcTimeout(text: string): number | undefined {
  const unit = /^\d{1,8}[HMSmun]$/.test(text) ? grpcUnits[text.at(-1) as string] : undefined
  return unit === undefined ? undefined : Number(text.slice(0, -1)) * unit
}

function sinceNow(at: number | undefined): number | undefined {
  return at === undefined ? undefined : Math.max(0, at - Date.now())
}
