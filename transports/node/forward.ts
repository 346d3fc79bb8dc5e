import type { Call } from '../../src/core/call/call.ts'
import type { CallHeaders } from '../../src/core/call/header-map.ts'
import { type Interceptor, trusted } from '../../src/core/call/interceptor.ts'
import { tokenRuns } from '../../src/core/call/token-run.ts'
import { CallError } from '../../src/core/errors/error.ts'
import { checkOptions, either, list, notNegative, oneOf, type RulesOf, takes } from '../../src/core/options.ts'
import { currentIncoming, type Incoming } from './incoming.ts'

/** What the calls of a client take over from the request that is being handled. */
export interface ForwardOptions {
  /** Headers that are handed on, names in lower case; `false` for none. @defaultValue all that were read of the request */
  readonly headers?: readonly string[] | false | undefined
  /** Scheme, host and port of the servers that get them: strangers need know neither trace nor baggage. @defaultValue all */
  readonly origins?: readonly string[] | undefined
  /** Kept back of the caller's time, for what is done after a call; ms. @defaultValue 0 */
  readonly reserveMs?: number | undefined
}

const rules: RulesOf<ForwardOptions> = {
  headers: /* @__PURE__ */ either(list, /* @__PURE__ */ oneOf(false)),
  origins: /* @__PURE__ */ takes(
    "an array of origins such as 'https://api.example.com'",
    (value) => list.fits(value) && (value as unknown[]).every((each) => typeof each === 'string' && URL.canParse(each)),
  ),
  reserveMs: notNegative,
}

/**
 * Binds each call to the request that is being handled where the call is made: the shorter deadline counts, the call ends
 * when the request's client has gone, and trace, baggage and request id go along. What the call says itself stands, and
 * outside of any request nothing changes.
 *
 * Calls of a token source are bound by no request, since their token serves others, too.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * createClient({ transports, interceptors: [forwardIncoming()] })
 */
export function forwardIncoming(options: ForwardOptions = {}): Interceptor {
  checkOptions('forwardIncoming()', options, rules)
  const { headers, reserveMs = 0 } = options
  const names = headers === false ? [] : headers?.map((name) => name.toLowerCase())
  const origins = options.origins?.map((origin) => new URL(origin).origin)
  return trusted(function forwardIncoming(next) {
    return (call) => {
      const current = currentIncoming()
      if (!current) return next(call)
      const { incoming, isDetached } = current
      const isBound = !isDetached && !tokenRuns.runOf?.(call.context)
      if (isBound && incoming.isGone) return Promise.reject(gone(call))
      const handedOn = isTold(call, origins) ? headersFor(call, incoming, names) : call.headers
      if (!isBound) return next(handedOn === call.headers ? call : call.with({ headers: handedOn }))
      const { scope } = call
      scope.onEnd(incoming.onGone(() => scope.abort(gone(call))))
      const deadline = deadlineOf(call, incoming.remainingMs - reserveMs)
      return next(call.with({ headers: handedOn, options: deadline ? { ...call.options, deadline } : call.options }))
    }
  })
}

/** Where the request's deadline comes before the call's own: as the call's, with the words for errors. */
function deadlineOf(call: Call, remainingMs: number): { getTime(): number; readonly of: string } | undefined {
  if (remainingMs === Number.POSITIVE_INFINITY) return undefined
  const at = call.scope.services.clock.wallNow() + remainingMs
  const { deadline = Number.POSITIVE_INFINITY } = call.options
  const own = typeof deadline === 'number' ? deadline : deadline.getTime()
  return at < own ? { getTime: () => at, of: ' of the incoming request' } : undefined
}

/** Whether the server of a call is to know of the request. */
function isTold(call: Call, origins: readonly string[] | undefined): boolean {
  if (!origins) return true
  const { via, origin } = call.operation
  return origins.includes(origin ?? call.scope.services.limits.origins.get(via) ?? '')
}

/** What the call says itself stands, that a header is not to be sent, too. */
function headersFor(call: Call, { headers }: Incoming, names = Object.keys(headers)): CallHeaders {
  let merged: CallHeaders | undefined
  for (const name of names)
    if (headers[name] !== undefined && !(name in call.headers))
      merged = { ...(merged ?? call.headers), [name]: headers[name] }
  return merged ?? call.headers
}

function gone(call: Call): CallError {
  const message = 'the client of the incoming request has gone: nobody waits for the answer'
  return new CallError({ code: 'canceled', message }, call)
}
