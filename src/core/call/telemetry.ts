import type { StreamState } from '../stream/state.ts'
import type { Call } from './call.ts'

/**
 * What happens to a call, as it happens: the hook for logs, metrics and traces. Every member is optional; what one
 * throws harms no call and is dropped.
 */
export interface Telemetry {
  /** A call starts; what is returned is called once when it is over, with its error if it failed. */
  call?(call: Call): ((error?: unknown) => void) | undefined
  /** One attempt goes to the transport; what is returned is called when it has answered, opened or failed. */
  attempt?(call: Call): ((error?: unknown) => void) | undefined
  /** What the policies decide: a wait before a retry, a refresh, a lost and a resumed stream … */
  event?(event: TelemetryEvent): void
}

/** One decision of a policy; `waitMs` is rounded to whole milliseconds. */
export type TelemetryEvent =
  | { readonly type: 'retry'; readonly call: Call; readonly waitMs: number; readonly error: unknown }
  | { readonly type: 'refresh'; readonly call: Call }
  | { readonly type: 'reconnect'; readonly via: string; readonly waitMs: number; readonly error: unknown }
  | {
      readonly type: 'resume'
      readonly call: Call
      readonly cursor: string | undefined
      readonly waitMs: number
      readonly error: unknown
    }
  | { readonly type: 'resumed'; readonly call: Call; readonly cursor: string | undefined }
  | { readonly type: 'state'; readonly call: Call; readonly state: StreamState }
  | { readonly type: 'warning'; readonly call: Call | undefined; readonly message: string }

/** The same hook, whose failures reach no call. */
export function harmless(telemetry: Telemetry): Telemetry {
  const { call, attempt, event } = telemetry
  const tolerant =
    <A extends unknown[], R>(run: ((...args: A) => R) | undefined) =>
    (...args: A): R | undefined => {
      try {
        return run?.apply(telemetry, args)
      } catch {
        return undefined
      }
    }
  return {
    ...(call && { call: (of) => tolerant(tolerant(call)(of)) }),
    ...(attempt && { attempt: (of) => tolerant(tolerant(attempt)(of)) }),
    ...(event && { event: tolerant(event) }),
  }
}
