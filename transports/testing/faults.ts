import type { Call } from '../../src/core/call/call.ts'
import type { Interceptor, Next } from '../../src/core/call/interceptor.ts'
import { discardReply, type Reply } from '../../src/core/call/reply.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { decide } from '../../src/core/guard.ts'
import { count, notNegative, oneOf, type RulesOf, takes, wrongOption } from '../../src/core/options.ts'
import { sleep } from '../../src/core/time/bounded.ts'
import { statusRow } from '../shared/http-status.ts'
import { faultyStream } from './faulty-stream.ts'

/** What happens to one attempt, of whatever protocol: of a call, of an opening or of a re-opening of a stream. */
export interface Fault {
  /** Its answer, or its failure, comes after so long at the earliest; ms. @defaultValue 0 */
  readonly latencyMs?: number | undefined
  /** It is answered with this HTTP status, 400 to 599, and reaches no transport. @defaultValue it is not */
  readonly status?: number | undefined
  /** What that answer says of when to come again; ms. @defaultValue nothing */
  readonly retryAfterMs?: number | undefined
  /**
   * The connection breaks: while it is made, so that nothing is sent (`connect`), or behind the request, which the server
   * carries out and whose answer is lost (`headers`). @defaultValue it holds
   */
  readonly reset?: 'connect' | 'headers' | undefined
  /** The connection is dead and nobody says so: no answer ever comes, or none behind so many messages of a stream. @defaultValue false */
  readonly halfOpen?: boolean | number | undefined
  /** A stream breaks behind so many messages. @defaultValue it does not */
  readonly dropAfter?: number | undefined
  /** Messages of a stream come one by one, each so long after the one before; ms. @defaultValue as they come */
  readonly dripMs?: number | undefined
}

const rules: RulesOf<Fault> = {
  latencyMs: notNegative,
  status: /* @__PURE__ */ takes(
    '400 to 599',
    (value) => Number.isInteger(value) && /^[45]/.test(`${value}`) && `${value}`.length === 3,
  ),
  retryAfterMs: notNegative,
  reset: /* @__PURE__ */ oneOf('connect', 'headers'),
  halfOpen: /* @__PURE__ */ takes('true, false or a number of messages', (value) =>
    typeof value === 'number' ? Number.isInteger(value) && value >= 0 : typeof value === 'boolean',
  ),
  dropAfter: /* @__PURE__ */ takes('a whole number, 0 or more', (value) => value === 0 || count.fits(value)),
  dripMs: notNegative,
}

/** What befalls each attempt: a list, of one fault after the other (`undefined` for none) and of none behind its end; or a function that is asked. */
export type FaultPlan = readonly (Fault | undefined)[] | ((call: Call) => Fault | undefined)

/**
 * An interceptor that does to attempts what networks do: it answers late or never, breaks, and refuses, over any transport
 * and by the client's clock. It stands innermost, so that all policies see what it does.
 *
 * @throws {CallError} `invalid_argument` where the plan holds what is no fault.
 * @example
 * const clock = virtualClock()
 * const faults = faultInjection([{ reset: 'connect' }, { status: 503, retryAfterMs: 2_000 }, { latencyMs: 100 }])
 * const client = createClient({ transports, clock, interceptors: (defaults) => [...defaults, faults] })
 */
export function faultInjection(plan: FaultPlan): Interceptor {
  if (!Array.isArray(plan) && typeof plan !== 'function')
    throw refusal('faultInjection() takes a list of faults, or a function that gives one', undefined)
  const planned = Array.isArray(plan) ? [...plan] : undefined
  for (const fault of planned ?? []) check(fault, undefined)
  const faultOf = (call: Call): Fault | undefined => {
    if (planned) return planned.shift()
    const fault = decide('the plan of faultInjection()', () => (plan as (call: Call) => Fault | undefined)(call), call)
    check(fault, call)
    return fault
  }
  return function faultInjection(call, next) {
    const fault = faultOf(call)
    return fault ? inject(fault, call, next) : next(call)
  }
}

function check(fault: Fault | undefined, call: Call | undefined): void {
  const wrong = fault === undefined ? undefined : wrongOption(fault, rules)
  if (wrong) throw refusal(`faultInjection(): ${wrong}`, call)
}

async function inject(fault: Fault, call: Call, next: Next): Promise<Reply> {
  const { latencyMs = 0 } = fault
  const answer = answerOf(fault, call, next)
  if (latencyMs > 0) {
    answer.catch(() => {})
    try {
      await sleep(latencyMs, call.scope)
    } catch (reason) {
      answer.then(discardReply, () => {})
      throw reason
    }
  }
  return answer
}

async function answerOf(fault: Fault, call: Call, next: Next): Promise<Reply> {
  const { scope } = call
  const fail = (failure: Failure): never => {
    scope.mark(failure.phase ?? 'headers', failure.sent ?? 'maybe')
    throw new CallError(failure, call)
  }
  if (fault.reset === 'connect') fail(broken('refused', 'connect', 'no'))
  if (fault.status !== undefined) fail(answered(fault.status, fault.retryAfterMs))
  if (fault.halfOpen === true || (fault.halfOpen === 0 && !isStream(call))) {
    scope.mark('headers', 'maybe')
    return new Promise((_, reject) => scope.onAbort(reject))
  }
  const reply = await next(call)
  if (fault.reset) {
    discardReply(reply)
    fail(broken('reset before an answer came', 'headers', 'maybe'))
  }
  return reply.kind === 'stream' ? faultyStream(reply, fault, call) : reply
}

const isStream = ({ operation: { kind } }: Call): boolean => kind === 'server_stream' || kind === 'bidi_stream'

function broken(what: string, phase: 'connect' | 'headers', sent: 'no' | 'maybe'): Failure {
  return {
    code: 'unavailable',
    message: `the connection was ${what}, by faultInjection()`,
    phase,
    sent,
    isRetryable: true,
  }
}

function answered(status: number, retryAfterMs: number | undefined): Failure {
  const { hint, ...row } = statusRow(status)
  return {
    ...row,
    // Who says when to come again has not carried it out.
    ...(status === 503 && retryAfterMs !== undefined && { isUnexecuted: true }),
    message: `the server answered ${status}: ${hint}, by faultInjection()`,
    phase: 'headers',
    sent: 'yes',
    status,
    retryAfterMs,
  }
}
