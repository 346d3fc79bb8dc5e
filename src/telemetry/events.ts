import type { Call } from '../core/call/call.ts'
import { tellDeprecation } from '../core/call/deprecation.ts'
import type { Telemetry, TelemetryEvent } from '../core/call/telemetry.ts'
import { isAnyCallError } from '../core/errors/error.ts'
import { notify } from '../core/guard.ts'

/** How a call, or an attempt of it, came out. */
export interface Outcome {
  readonly call: Call
  readonly durationMs: number
  /** HTTP status of the reply; 200 where the protocol has none, undefined where it failed. */
  readonly status: number | undefined
  /** Undefined where it succeeded. */
  readonly error: unknown
}

/** What happens to calls, in one type: beginnings, ends, and all that policies decide between them. */
export type CallEvent =
  | { readonly type: 'call:start'; readonly call: Call }
  /** `attempts`: sends of this call, replays after a refresh included. */
  | ({ readonly type: 'call:end'; readonly attempts: number } & Outcome)
  /** `attempt`: the first is 1; replays after a refresh count. */
  | { readonly type: 'attempt:start'; readonly call: Call; readonly attempt: number }
  | ({ readonly type: 'attempt:end'; readonly attempt: number } & Outcome)
  | TelemetryEvent

/** Whether anybody wants events of a type; asked for each, so it must be quick. */
export type IsHeard = (type: CallEvent['type']) => boolean

/**
 * All that happens to the calls of a client as one stream of typed events: for metrics of your own, a view in development,
 * tests. Events may be logged as they are: they show no credential, header value or input.
 *
 * @param listener - what it throws, or rejects with, harms no call: it is told on the console, once.
 * @example
 * createClient({ transports, telemetry: onEvent((event) => console.log(event.type)) })
 */
export function onEvent(listener: (event: CallEvent) => unknown): Telemetry {
  return eventTelemetry(listener, () => true)
}

/** {@link onEvent}, but nothing is made for events that nobody hears. */
export function eventTelemetry(listener: (event: CallEvent) => unknown, isHeard: IsHeard): Telemetry {
  let hasFailed = false
  const failed = {
    event: ({ message }: { readonly message: string }) => {
      if (!hasFailed) host.console?.warn(`[polywire] ${message} (told once)`)
      hasFailed = true
    },
  }
  const tell = (event: CallEvent): void => notify('the listener of onEvent()', listener, failed, event)
  return {
    call(call) {
      const { clock } = call.scope.services
      if (isHeard('call:start')) tell({ type: 'call:start', call })
      if (!isHeard('call:end')) return undefined
      const begin = clock.now()
      return (error, reply) => {
        const attempts = call.scope.root.sends
        tell({
          type: 'call:end',
          attempts,
          call,
          durationMs: clock.now() - begin,
          status: statusOf(error, reply),
          error,
        })
      }
    },
    attempt(call) {
      const { clock } = call.scope.services
      const attempt = call.scope.root.sends + 1
      if (isHeard('attempt:start')) tell({ type: 'attempt:start', call, attempt })
      const isEndHeard = isHeard('attempt:end')
      const isHeardOfEnds = isHeard('deprecation') || isHeard('sunset')
      if (!isEndHeard && !isHeardOfEnds) return undefined
      const begin = clock.now()
      return (error, reply) => {
        const durationMs = clock.now() - begin
        if (isHeardOfEnds) tellDeprecation(call, (reply ?? (isAnyCallError(error) ? error : undefined))?.headers)
        if (isEndHeard) tell({ type: 'attempt:end', attempt, call, durationMs, status: statusOf(error, reply), error })
      }
    },
    event(event) {
      if (isHeard(event.type)) tell(event)
    },
  }
}

/** An error says the status that it came with. */
export function statusOf(error: unknown, reply: { readonly status: number } | undefined): number | undefined {
  if (error === undefined) return reply?.status
  const { status } = (error ?? {}) as { readonly status?: unknown }
  return typeof status === 'number' ? status : undefined
}

const host = globalThis as { readonly console?: { warn(...words: unknown[]): void } }
