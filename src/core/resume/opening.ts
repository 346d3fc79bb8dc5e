import type { Call } from '../call/call.ts'
import type { Next } from '../call/interceptor.ts'
import { discardReply, type Reply } from '../call/reply.ts'
import { CallError, failureOf, isAnyCallError, toFailedAttempt, withHistory } from '../errors/error.ts'
import { Backoff } from '../time/backoff.ts'
import { bounded } from '../time/bounded.ts'
import type { PageLife } from '../time/page-life.ts'
import type { OpeningOptions } from './options.ts'
import { planWait, ResumeWait, type WaitPlan } from './wait.ts'

/**
 * Opens a stream for the first time by its own policy, instead of `retry`'s: each attempt has a fresh timeout, and what
 * lies between them is waited for as between two re-opens, in state `waiting` or `suspended`.
 *
 * @param timeoutMs - bounds each attempt.
 * @throws {CallError} the last attempt's, with the earlier ones in `failures`.
 */
export async function openByPolicy(
  call: Call,
  next: Next,
  { maxAttempts = 3, baseDelayMs = 1000, maxDelayMs = 30_000 }: OpeningOptions,
  timeoutMs: number,
  page: PageLife,
): Promise<Reply> {
  const { services, root } = call.scope
  const { clock, telemetry } = services
  const backoff = new Backoff(clock, { baseDelayMs, maxDelayMs })
  // Retried here, and nowhere else.
  const options = { ...call.options, retry: false as const }
  for (let attempt = 1; ; attempt++) {
    const scope = call.scope.fork()
    const deadline = Math.min(clock.now() + timeoutMs, call.wireDeadline)
    backoff.attempted()
    try {
      return await openWithin(call.with({ scope, options, attempt, deadline }), next, 'opened', timeoutMs)
    } catch (error) {
      scope.end()
      if (!isAnyCallError(error) || call.scope.isOver || !error.isRetryable || !isSafe(call, error)) throw error
      if (attempt >= maxAttempts) throw withHistory(error, root.failures, 'attempts_exhausted')
      const plan = planWait(clock, backoff, page, error)
      if (clock.now() + plan.waitMs >= call.wireDeadline)
        throw withHistory(error, root.failures, 'wait_exceeds_deadline')
      root.failures.push(toFailedAttempt(error))
      telemetry?.event?.({ type: 'retry', call, waitMs: Math.round(plan.waitMs), error })
      await bounded(call.scope, () => waited(call, plan, error))
    }
  }
}

/**
 * Opens a stream within the call's deadline; the call has a scope of its own, whose end closes a late reply.
 *
 * @param timeoutMs - runs afresh from each dial of a shared socket on: the waits between them are the link's alone.
 */
export function openWithin(call: Call, next: Next, what: 'opened' | 'opened again', timeoutMs: number): Promise<Reply> {
  const { scope } = call
  const { root, services } = scope
  const { clock, deadlines } = services
  const expire = (): void => {
    const now = clock.now()
    const isWaiting = root.streamState === 'waiting' || root.streamState === 'suspended'
    const later = Math.min((isWaiting ? now : root.connectingAt) + timeoutMs, call.wireDeadline)
    if (later > now) {
      armed = deadlines.add(later, expire)
      return
    }
    const message = `the stream could not be ${what} within its timeout, in phase '${root.phase}'`
    scope.abort(new CallError({ code: 'deadline_exceeded', message, isRetryable: true }, call))
  }
  let armed = call.deadline === Number.POSITIVE_INFINITY ? undefined : deadlines.add(call.deadline, expire)
  const opened = bounded(scope, () => next(call), { discard: discardReply })
  return armed ? opened.finally(() => armed && deadlines.remove(armed)) : opened
}

function isSafe({ operation, input }: Call, error: CallError): boolean {
  if (operation.isReplayable && !operation.isReplayable(input)) return false
  return operation.isIdempotent || error.sent === 'no' || failureOf(error).isUnexecuted === true
}

function waited(call: Call, plan: WaitPlan, reason: CallError): Promise<void> {
  const { scope } = call
  return new Promise((resolve) => {
    const wait = new ResumeWait(plan, {
      onWaiting: (state) => scope.setStreamState(state, reason),
      onWaited() {
        off()
        scope.setStreamState('connecting')
        resolve()
      },
    })
    const off = scope.onAbort(() => wait.cancel())
  })
}
