import type { Call } from '../core/call/call.ts'
import { CallError } from '../core/errors/error.ts'
import type { Failure } from '../core/errors/failure.ts'
import { type Durable, unfit } from './durable.ts'
import type { Host } from './host.ts'
import type { Seen } from './ledger.ts'
import type { Runs } from './runs.ts'
import type { Answer } from './waiters.ts'

/** Tells callers what has become of entries that somebody else has brought to an end. */
export class Outcomes {
  readonly #host: Host
  readonly #runs: Runs

  constructor(host: Host, runs: Runs) {
    this.#host = host
    this.#runs = runs
  }

  /**
   * An entry has changed: those who wait for it hear what it means for them.
   *
   * @param gone - how it stood before it was taken out, as far as that is known.
   */
  tell(place: string, gone?: Seen): void {
    const { waiters, ledger } = this.#host
    if (!waiters.count(place) || this.#runs.isRunning(place)) return
    const seen = ledger.get(place)
    const call = waiters.callOf(place) as Call
    const sent = (seen ?? gone)?.record.mayHaveRun === false ? 'no' : 'maybe'
    const reject = (failure: Failure): void =>
      waiters.reject(place, new CallError({ phase: 'resolve', sent, ...failure }, call), seen?.record)
    if (!seen) {
      reject({ code: 'canceled', message: 'its entry was taken out of the outbox' })
      return
    }
    const { record } = seen
    const { outcome } = record
    if (record.state === 'pending') {
      const message = `its entry waits for a person (${record.reason}): see outbox.entries(), retryNow, settle, discard`
      reject({ code: 'failed_precondition', message })
    } else if (record.state === 'failed') {
      const { code = 'unknown', status, message = 'it was refused' } = outcome?.error ?? {}
      const words = message.replace(/^\[\w+\] .*? via \S+: /, '')
      reject({
        code,
        status,
        message: words,
        ...(outcome?.by !== 'user' && { phase: 'headers', sent: 'yes' }),
      })
    } else if (record.state === 'confirmed') {
      this.#answerAgain(seen, call).then(
        (answer) => waiters.resolve(place, answer),
        (error: unknown) => waiters.reject(place, error, record),
      )
    }
  }

  /** The reply of an entry that was confirmed elsewhere: replayed under its key, or read. */
  async #answerAgain(seen: Seen, call: Call): Promise<Answer> {
    const host = this.#host
    const { record, place } = seen
    const durable = host.registry.get(record.op) as Durable
    const plan = host.planOf(durable.inner)
    const { settle } = durable.options
    const { input, headers, context } = call
    const { timeoutMs } = host
    // What a person has found done by other means, its server may never have seen.
    if (record.outcome?.by !== 'user' && durable.isKeyYoung(plan, seen, host.clock)) {
      return host.call(durable.inner).reply(input, { headers, context, timeoutMs, idempotencyKey: record.key })
    }
    const answer =
      settle && (await this.#runs.found({ durable, kept: { input }, seen }, settle, { context, timeoutMs }))
    if (answer) return answer
    throw unfit(
      durable.inner,
      `it was confirmed before, and its reply is not there any more (${place.split('/')[2]}): see outbox.entries()`,
    )
  }
}
