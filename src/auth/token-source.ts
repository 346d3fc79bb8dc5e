import { createAsyncContext } from '#platform'
import type { Credential } from '../core/call/auth.ts'
import type { Call } from '../core/call/call.ts'
import { makeCredential } from '../core/call/credential.ts'
import { followTokenRuns, runTokenSource, SelfWait, type TokenRun, tokenRunOf } from '../core/call/token-run.ts'
import { uuid } from '../core/call/uuid.ts'
import { isTransient } from '../core/errors/transient.ts'
import { guard, isThenable } from '../core/guard.ts'
import type { BearerAuthOptions, BearerToken, TokenRequest } from './bearer.ts'
import { SourceRequest } from './source-request.ts'

type Answer = string | BearerToken | undefined
/** The user's own functions; what they give is looked at before it is used. */
type Ask = (request: TokenRequest) => Answer | PromiseLike<unknown>

/** A token that is kept until shortly before its end. */
interface Kept {
  readonly credential: Credential
  readonly endsAt: number
  readonly renewAt: number
  /** `refresh` gave it, and gives the next one. */
  readonly isRefreshed: boolean
}

/** A run of the source that others may join. */
interface Work {
  readonly run: TokenRun
  readonly kind: 'asking' | 'renewing'
  readonly promise: Promise<Credential | undefined>
  readonly begunAt: number
}

/** What one identity holds. */
interface Holding {
  kept: Kept | undefined
  /** The last credentials, by token: one that comes again is the same one, of the same principal. */
  readonly known: Map<string, Credential>
  readonly refused: WeakSet<Credential>
  /** What replaced the last one that was refused. */
  replacement: Credential | undefined
  work: Work | undefined
  failed: { readonly rejected: Credential; readonly cause: unknown; readonly at: number } | undefined
  usedAt: number
}

/** A renewal that was refused is not tried again for the same token within this; ms. */
const failureHoldMs = 5000
/** Tokens remembered for one identity. */
const maxKnown = 32
/** Identities remembered; above this, and when nobody has called for so long, they are forgotten, secrets and all. */
const maxIdentities = 1000
const identityIdleMs = 600_000
/** A source that has not answered within this is asked anew by the next call; ms. */
const silentMs = 30_000
/** A call that was begun while the source was at work may be the source's own: it waits so long for the token; ms. */
const suspicionMs = 4500
const selfWaitText = `a call waited ${suspicionMs / 1000} s for a token whose source was at work already. If the source itself makes that call, it waits for itself: declare the operation with auth: false, give the call the context of the token request, or start it before the source first awaits`

/**
 * Tokens as credentials, partitioned by identity, with one run of the source at a time for each.
 *
 * A call that was refused with an older token than the current one uses the current one; a renewal belongs to no call,
 * so that the abort of the first caller does not fail the other ninety-nine. What the source fails with is given to
 * each call as it is, to be the cause of an error of its own.
 *
 * Principals: a token that `refresh` gives, and one that renews a token which ends, is of the same principal as the
 * one before; every other change is another principal, unless `identity` says whose tokens these are.
 */
export class TokenSource {
  readonly #ask: Ask
  readonly #options: BearerAuthOptions
  readonly #scheme: string
  /** Made when it is needed: workers refuse random values at module level, where sources are made. */
  #id: string | undefined
  #principals = 0
  /** Every run of the token function so far gave its token at once; unknown before the first. */
  #isSynchronous: boolean | undefined
  /** Those used last stand last. */
  readonly #holdings = new Map<string, Holding>()

  constructor(ask: Ask, options: BearerAuthOptions) {
    this.#ask = ask
    this.#options = options
    this.#scheme = options.scheme ?? 'Bearer'
    followTokenRuns(createAsyncContext)
  }

  /** The credential for one attempt; none for a call that the source itself makes. */
  get(call: Call): Credential | undefined | Promise<Credential | undefined> {
    const own = tokenRunOf(call.context, this)
    if (own) {
      own.calls++
      call.scope.onEnd(() => own.calls--)
      return undefined
    }
    const now = call.scope.services.clock.now()
    const holding = this.#holdingOf(call.identity, now)
    const { kept, work } = holding
    if (kept && now < kept.renewAt) return kept.credential
    if (work) {
      const joined = this.#join(holding, work, call)
      // A login or logout meanwhile: nobody is served as the one before.
      return work.kind === 'asking' || this.#options.identity ? joined : joined.then(() => this.get(call))
    }
    return kept ? this.#renewEnding(holding, kept, call) : this.#begin(holding, call)
  }

  /** The credential that replaces a refused one: one renewal for all that ask, none where it has been replaced already. */
  async renew(rejected: Credential, call: Call): Promise<Credential | undefined> {
    const { clock } = call.scope.services
    const holding = this.#holdingOf(call.identity, clock.now())
    if (holding.work?.kind === 'asking') {
      // A renewal under way counts, whatever began it: two at once would use up a one-time refresh token.
      const renewed = await holding.work.promise.catch(() => undefined)
      if (renewed && renewed !== rejected && !holding.refused.has(renewed)) return renewed
    }
    if (holding.work) return holding.work.promise
    const { replacement, failed } = holding
    if (holding.refused.has(rejected) && replacement && !holding.refused.has(replacement)) return replacement
    if (failed?.rejected === rejected && clock.now() - failed.at < failureHoldMs) throw failed.cause
    return this.#work(holding, 'renewing', call, (run) => this.#replace(holding, rejected, call, run))
  }

  /** A token that nobody has asked for yet, or that is asked for anew for each attempt. */
  #begin(holding: Holding, call: Call): Credential | undefined | Promise<Credential | undefined> {
    const run = this.#run(call)
    let answer: ReturnType<Ask>
    try {
      answer = this.#call(this.#ask, 'attempt', call, run)
    } catch (error) {
      run.isOver = true
      throw error
    }
    this.#isSynchronous = !isThenable(answer) && this.#isSynchronous !== false
    if (isThenable(answer)) {
      const later = answer
      return this.#work(holding, 'asking', call, async () => this.#accept(holding, (await later) as Answer, call), run)
    }
    run.isOver = true
    return this.#accept(holding, answer, call)
  }

  /** A kept token is about to end: until it has, a source that fails for a moment harms nobody. */
  #renewEnding(holding: Holding, kept: Kept, call: Call): Promise<Credential | undefined> {
    const { clock, telemetry } = call.scope.services
    const { isRefreshed, credential, endsAt } = kept
    const ask = (isRefreshed && this.#options.refresh) || this.#ask
    telemetry?.event?.({ type: 'refresh', call })
    return this.#work(holding, 'asking', call, async (run) => {
      try {
        let answer = await this.#renewed(ask, 'expiring', call, run, credential)
        if (isRefreshed) answer ??= (await this.#call(this.#ask, 'attempt', call, run)) as Answer
        return this.#accept(holding, answer, call, credential, isRefreshed)
      } catch (cause) {
        if (isTransient(cause) && clock.now() < endsAt) return credential
        throw cause
      }
    })
  }

  async #replace(holding: Holding, rejected: Credential, call: Call, run: TokenRun): Promise<Credential | undefined> {
    const { clock, telemetry } = call.scope.services
    const { refresh } = this.#options
    holding.refused.add(rejected)
    if (holding.kept && holding.kept.credential !== rejected) return holding.kept.credential
    holding.kept = undefined
    try {
      // Another call, tab or login may have replaced it: then no renewal is needed.
      const current = refresh ? await this.#current(holding, call, run) : undefined
      if (current && !holding.refused.has(current)) return current
      telemetry?.event?.({ type: 'refresh', call })
      const answer = await this.#renewed(refresh ?? this.#ask, 'rejected', call, run, rejected)
      const from = refresh && rejected
      const newer =
        answer === undefined
          ? await this.#current(holding, call, run, from)
          : this.#accept(holding, answer, call, from, from !== undefined)
      holding.replacement = newer && holding.refused.has(newer) ? undefined : newer
      holding.failed = undefined
      return holding.replacement
    } catch (cause) {
      if (!isTransient(cause)) holding.failed = { rejected, cause, at: clock.now() }
      throw cause
    }
  }

  /** What replaces `old`: asked for here, or by one of those who share it. */
  async #renewed(
    ask: Ask,
    reason: TokenRequest['reason'],
    call: Call,
    run: TokenRun,
    old: Credential,
  ): Promise<Answer> {
    const rejected = reason === 'rejected' ? old.secret : undefined
    const work = async () => (await this.#call(ask, reason, call, run, rejected)) as Answer
    const { refreshes } = call.scope.services
    const { refresh, adopt, lostRefresh } = this.#options
    if (!refreshes || !refresh || old.secret === undefined) return work()
    const { token, isOwn } = await refreshes.renew(old.secret, lostRefresh === 'try', async () => {
      // What `refresh` does not give stands with `token` from then on: the others want it, too.
      const answer = (await work()) ?? ((await this.#call(this.#ask, 'attempt', call, run)) as Answer)
      return typeof answer === 'string' ? { token: answer } : answer
    })
    if (token && !isOwn && adopt) await guard('bearerAuth.adopt()', () => adopt(token, call.identity), call)
    return token
  }

  async #current(holding: Holding, call: Call, run: TokenRun, from?: Credential): Promise<Credential | undefined> {
    return this.#accept(holding, (await this.#call(this.#ask, 'attempt', call, run)) as Answer, call, from)
  }

  /** Keeps a token that declares its life; a refused one gives way to what replaced it. */
  #accept(
    holding: Holding,
    answer: Answer,
    call: Call,
    from?: Credential,
    isRefreshed = false,
  ): Credential | undefined {
    holding.kept = undefined
    if (answer === undefined || answer === null) return undefined
    const token = typeof answer === 'string' ? answer : answer.token
    if (typeof token !== 'string')
      throw new TypeError('a token is a text, or { token } with a text; this one is neither')
    const credential = this.#credential(holding, token, from, (answer as BearerToken).scheme)
    const { replacement, refused } = holding
    if (refused.has(credential) && replacement && !refused.has(replacement)) return replacement
    if (typeof answer === 'object') {
      const { clock } = call.scope.services
      const { expiresInMs, expiresAt } = answer
      // What servers leave out makes `expires_in * 1000` no number, and an end of the life that never or always has come.
      const lifeMs = Number(expiresInMs ?? Number(expiresAt ?? undefined) - clock.wallNow())
      if (!Number.isNaN(lifeMs) && !refused.has(credential)) {
        const endsAt = clock.now() + lifeMs
        const marginMs = this.#options.refreshBeforeMs ?? Math.min(60_000, lifeMs / 10)
        holding.kept = { credential, endsAt, renewAt: endsAt - marginMs, isRefreshed }
      }
    }
    return credential
  }

  #credential({ known }: Holding, token: string, from: Credential | undefined, scheme = this.#scheme): Credential {
    const old = known.get(token)
    if (old) return old
    const id = (this.#id ??= uuid())
    const principal = this.#options.identity ? id : (from?.principal ?? `${id} ${++this.#principals}`)
    const made = makeCredential({ headers: { authorization: `${scheme} ${token}` }, secret: token, principal })
    known.set(token, made)
    if (known.size > maxKnown) known.delete(known.keys().next().value as string)
    return made
  }

  #call(ask: Ask, reason: TokenRequest['reason'], call: Call, run: TokenRun, rejected?: string): ReturnType<Ask> {
    const request = new SourceRequest(reason, rejected, call, run)
    return runTokenSource(run, () => ask(request), ask !== this.#ask || !this.#isSynchronous)
  }

  #run({ context }: Call): TokenRun {
    return { source: this, outer: tokenRunOf(context), isOver: false, calls: 0, turn: thisTurn() }
  }

  #work(
    holding: Holding,
    kind: Work['kind'],
    call: Call,
    work: (run: TokenRun) => Promise<Credential | undefined>,
    run = this.#run(call),
  ): Promise<Credential | undefined> {
    const promise = work(run).finally(() => {
      run.isOver = true
      if (holding.work?.run === run) holding.work = undefined
    })
    holding.work = { kind, run, promise, begunAt: call.scope.services.clock.now() }
    return promise
  }

  /**
   * Waits for a run of the source. A call that began in a later turn, and is not known to be made by it, may be made by
   * it all the same, and would wait for itself.
   */
  #join(holding: Holding, { promise, run }: Work, call: Call): Promise<Credential | undefined> {
    if (run.turn === turn || call.attempt > 1 || call.isReopen) return promise
    const { clock, deadlines } = call.scope.services
    return new Promise((resolve, reject) => {
      const watch = () =>
        deadlines.add(clock.now() + suspicionMs, () => {
          const { kept } = holding
          if (run.calls > 0) armed = watch()
          else if (kept && clock.now() < kept.endsAt) resolve(kept.credential)
          else reject(new SelfWait(selfWaitText))
        })
      let armed = watch()
      promise.then(resolve, reject).finally(() => deadlines.remove(armed))
    })
  }

  #holdingOf(identity: string, now: number): Holding {
    const holdings = this.#holdings
    let holding = holdings.get(identity)
    if (!holding) {
      this.#forget(now)
      holding = {
        kept: undefined,
        known: new Map(),
        refused: new WeakSet(),
        replacement: undefined,
        work: undefined,
        failed: undefined,
        usedAt: now,
      }
      holdings.set(identity, holding)
    } else if (holding.usedAt !== now && holdings.size > 1) {
      holdings.delete(identity)
      holdings.set(identity, holding)
    }
    holding.usedAt = now
    // As a fetch without a time-out in a network that drops it: whoever comes later asks again.
    if (holding.work && now - holding.work.begunAt >= silentMs) holding.work = undefined
    return holding
  }

  /** Makes room for one more identity. */
  #forget(now: number): void {
    for (const [identity, { usedAt, work }] of this.#holdings) {
      if (this.#holdings.size < maxIdentities && now - usedAt < identityIdleMs) return
      if (!work) this.#holdings.delete(identity)
    }
  }
}

let turn = 0
let isTurnCounted = false

/** The number of this turn of the microtasks: what the source awaits goes on in a later one, what is called beside it does not. */
function thisTurn(): number {
  if (!isTurnCounted) {
    isTurnCounted = true
    queueMicrotask(() => {
      isTurnCounted = false
      turn++
    })
  }
  return turn
}
