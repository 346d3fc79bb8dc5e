import { notify } from '../guard.ts'
import type { BreakerState } from '../policies/breaker.ts'
import type { Gap } from '../stream/gap.ts'
import type { StreamState } from '../stream/state.ts'
import type { Call } from './call.ts'
import type { HeaderMap } from './header-map.ts'

/**
 * What happens to a call, as it happens: the hook for logs, metrics and traces. Every member is optional; what one
 * throws harms no call: the first failure is told on the console.
 */
export interface Telemetry {
  /** A call starts; what is returned is called once when it is over, with its error if it failed, else with its reply. */
  call?(call: Call): Finish | undefined
  /** One attempt goes to the transport; what is returned is called when it has answered, opened or failed. */
  attempt?(call: Call): Finish | undefined
  /** What the policies decide: a wait before a retry, a refresh, a lost and a resumed stream … */
  event?(event: TelemetryEvent): void
  /**
   * Interceptors around each call and each attempt, for tracers: they send headers along, and run what is inside within a
   * context of their own. `telemetry: otel()` has them.
   */
  readonly around?: { readonly call?: Around; readonly attempt?: Around } | undefined
}

/** Told of the end: its error, or what is known of its reply. */
export type Finish = (error?: unknown, reply?: { readonly status: number; readonly headers?: HeaderMap }) => void

/** An `Interceptor`. */
type Around = (call: Call, next: (call: Call) => Promise<any>) => Promise<any>

/** One decision of a policy; `waitMs` is rounded to whole milliseconds. */
export type TelemetryEvent =
  | { readonly type: 'retry'; readonly call: Call; readonly waitMs: number; readonly error: unknown }
  /** A call with several routes takes another one; names of operations. */
  | {
      readonly type: 'route'
      readonly call: Call
      readonly from: string
      readonly to: string
      /** Why it left the route before; undefined where a stream goes back to a better one. */
      readonly error: unknown
    }
  /** A circuit breaker has changed; `operation` is undefined for one of a whole origin, `openMs` is 0 unless it is open. */
  | {
      readonly type: 'breaker'
      readonly state: BreakerState
      readonly origin: string
      readonly operation: string | undefined
      readonly openMs: number
    }
  /** An answer took long, `waitMs`: another attempt is sent beside. */
  | { readonly type: 'hedge'; readonly call: Call; readonly waitMs: number }
  /** It shares the request of an equal call that is under way. */
  | { readonly type: 'joined'; readonly call: Call }
  | { readonly type: 'refresh'; readonly call: Call }
  | { readonly type: 'reconnect'; readonly via: string; readonly waitMs: number; readonly error: unknown }
  | {
      readonly type: 'resume'
      readonly call: Call
      readonly cursor: string | undefined
      readonly waitMs: number
      readonly error: unknown
    }
  | {
      /** A stream goes on by another operation; `waitMs` have passed since the drop. */
      readonly type: 'continued'
      readonly call: Call
      readonly operation: string
      readonly cursor: string | undefined
      readonly waitMs: number
    }
  /** So many messages come again: no cursor came behind them before the drop. */
  | { readonly type: 'repeated'; readonly call: Call; readonly from: string; readonly repeated: number }
  | { readonly type: 'resumed'; readonly call: Call; readonly cursor: string | undefined }
  /** Messages of a stream are lost, or may be. */
  | { readonly type: 'gap'; readonly call: Call; readonly gap: Gap }
  | { readonly type: 'state'; readonly call: Call; readonly state: StreamState }
  /** The store that policies are shared by does not answer, or does again. */
  | { readonly type: 'store'; readonly state: 'away' | 'back'; readonly cause: unknown }
  /**
   * The server says that this operation is deprecated, or that it will stop answering; told once for each operation by
   * `onEvent`, `logTo` and `otel`. See `readDeprecation`.
   */
  | {
      readonly type: 'deprecation' | 'sunset'
      readonly call: Call
      /** Undefined where the server does not say when, or not readably. */
      readonly at: Date | undefined
      /** Where it is explained. */
      readonly link: string | undefined
      /** What takes its place. */
      readonly successor: string | undefined
    }
  | { readonly type: 'warning'; readonly call: Call | undefined; readonly message: string }

/**
 * The same hook, whose failures reach no call: the first one is told on the console, by the name of the member, and each
 * of `call` and `attempt` as a warning to `event`.
 */
export function guardTelemetry(telemetry: Telemetry): Telemetry {
  if (guarded.has(telemetry)) return telemetry
  let hasWarned = false
  const tolerant =
    <A extends unknown[], R>(member: string, run: (...args: A) => R) =>
    (...args: A): R | undefined => {
      let result: R | undefined
      notify(`telemetry.${member}`, () => (result = run(...args)), {
        event(warning, cause) {
          if (!hasWarned) host.console?.warn(`[polywire] ${warning.message} (told once)`, cause)
          hasWarned = true
          if (member !== 'event') event?.(warning)
        },
      })
      return result
    }
  const event = telemetry.event && tolerant('event', (told: TelemetryEvent) => telemetry.event?.(told))
  const begin = (member: 'call' | 'attempt') => {
    const run = tolerant(member, (told: Call) => telemetry[member]?.(told))
    const started = (call: Call): Finish | undefined => {
      const finish = run(call)
      return typeof finish === 'function' ? tolerant(member, finish) : undefined
    }
    return telemetry[member] && started
  }
  const safe = { call: begin('call'), attempt: begin('attempt'), event, around: telemetry.around } as Telemetry
  guarded.add(safe)
  return safe
}

const guarded = new WeakSet<Telemetry>()
const host = globalThis as { readonly console?: { warn(...words: unknown[]): void } }
