import type { Call } from '../core/call/call.ts'
import { absoluteDeadline } from '../core/call/call-options.ts'
import type { Interceptor } from '../core/call/interceptor.ts'
import { trusted } from '../core/call/interceptor.ts'
import { CallError, withHistory } from '../core/errors/error.ts'
import { checkOptions, notNegative } from '../core/options.ts'
import { type OpeningOptions, openingOption } from '../core/resume/options.ts'

/** Bounds of a call. */
export interface DeadlineOptions {
  /** Used where the caller says nothing; ms, Infinity for none. @defaultValue 30_000 */
  readonly timeoutMs?: number | undefined
  /** Streams are opened by this policy, each attempt within the timeout of its own. @defaultValue none */
  readonly opening?: OpeningOptions | undefined
}

/**
 * Bounds a unary call wholly, and one opening of a stream: waits, auth and retries included.
 *
 * An absolute `deadline` bounds streams too, and only then goes on their wire. All deadlines of a client share one
 * timer. Throws a CallError `deadline_exceeded`.
 *
 * @example
 * createClient({ transports, interceptors: () => [deadline({ timeoutMs: 5_000 }), retry()] })
 */
export function deadline(options: DeadlineOptions = {}): Interceptor {
  checkOptions('deadline()', options, { timeoutMs: notNegative, opening: openingOption })
  const { timeoutMs: defaultMs = 30_000 } = options
  return trusted(function deadline(next) {
    return (call) => {
      const { clock } = call.scope.services
      const now = clock.now()
      const timeoutMs = call.options.timeoutMs ?? defaultMs
      const absolute =
        call.options.deadline === undefined ? Number.POSITIVE_INFINITY : absoluteDeadline(call.options, clock)
      const { kind, opening = options.opening, isOpenEnded } = call.operation
      const isUnary = kind === 'unary' || kind === 'client_stream'
      // By a policy of its own each attempt of an opening is bounded, and not all of them.
      const isOwn = !isUnary && (call.options.opening ?? opening) !== undefined
      const at = Math.min(isOwn ? absolute : now + timeoutMs, absolute, call.deadline)
      // A timeout that is no number has passed, too.
      if (!(at > now))
        return Promise.reject(
          expired(call, `the deadline${ownerOf(call)} passed before the call began; nothing was sent`),
        )
      const timed = call.with({ deadline: at, wireDeadline: isUnary ? at : absolute })
      if (at === Number.POSITIVE_INFINITY) return next(timed)
      const { scope } = call
      const armed = scope.abortAt(at, () => expired(timed, describe(timed, at === absolute)))
      if (isUnary && !isOpenEnded) return next(timed)
      if (absolute !== Number.POSITIVE_INFINITY) scope.abortAt(absolute, () => expired(timed, describe(timed, true)))
      // A stream that is open holds nothing of its opening, nor does a body that is still read.
      const disarmed = <T>(settled: T): T => {
        scope.disarm(armed)
        return settled
      }
      const reply = next(timed).then(disarmed)
      // An error may have a body, too.
      return isOpenEnded ? reply.catch((error: unknown) => Promise.reject(disarmed(error))) : reply
    }
  })
}

function describe(call: Call, isAbsolute: boolean): string {
  const { phase, attempts, sent } = call.scope.root
  const spent = attempts > 1 ? ` after ${attempts} attempts` : ''
  const isUnanswered = call.operation.kind === 'server_stream' && sent === 'maybe' && phase !== 'stream'
  const held = isUnanswered ? '; server or proxy holds it back' : ''
  const owner = isAbsolute ? ownerOf(call) : ''
  const advice = owner ? 'its caller gave no more time' : isAbsolute ? "give a later 'deadline'" : 'raise timeoutMs'
  return `the deadline${owner} passed in phase '${phase}'${spent}: ${advice}${held}`
}

/** Whose deadline it is, where that is not the caller's own: words such as ` of the incoming request`. */
function ownerOf({ options }: Call): string {
  return (options.deadline as { readonly of?: string } | undefined)?.of ?? ''
}

function expired(call: Call, message: string): CallError {
  return withHistory(new CallError({ code: 'deadline_exceeded', message }, call), call.scope.root.failures)
}
