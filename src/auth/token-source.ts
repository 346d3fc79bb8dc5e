import { createAsyncContext } from '#platform'
import type { Credential } from '../core/call/auth.ts'
import type { Call } from '../core/call/call.ts'
import { makeCredential } from '../core/call/credential.ts'
import { followTokenRuns, runTokenSource, SelfWait, type TokenRun, tokenRunOf } from '../core/call/token-run.ts'
import { uuid } from '../core/call/uuid.ts'
import { isTransient } from '../core/errors/transient.ts'
import { guard, isThenable } from '../core/guard.ts'
import type { BearerAuthOptions, BearerToken, TokenRequest } from './bearer.ts'
import { type Holding, holdingsBy, type Kept, type LoginOf, type Work } from './holdings.ts'
import { SourceRequest } from './source-request.ts'

type Answer = string | BearerToken | undefined
/** The user's own functions; what they give is looked at before it is used. */
export type Ask = (request: TokenRequest) => Answer | PromiseLike<unknown>

/** A renewal that was refused is not tried again for the same token within this; ms. */
const failureHoldMs = 5000
/** Tokens remembered for one identity. */
const maxKnown = 32
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
  readonly #holdings: (call: Call) => Holding

  constructor(ask: Ask, options: BearerAuthOptions, loginOf?: LoginOf) {
    this.#ask = ask
    this.#holdings = holdingsBy(loginOf)
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
    const holding = this.#holdings(call)
    const { kept, work } = holding
    const isKept = kept && !holding.isPlain
    if (isKept && holding.usedAt < kept.renewAt) return kept.credential
    if (work) {
      const joined = this.#join(holding, work, call)
      // A login or logout meanwhile: nobody is served as the one before.
      return work.kind === 'asking' || this.#options.identity ? joined : joined.then(() => this.get(call))
    }
    return isKept ? this.#renewEnding(holding, kept, call) : this.#begin(holding, call)
  }

  /** The credential that replaces a refused one: one renewal for all that ask, none where it has been replaced already. */
  async renew(rejected: Credential, call: Call): Promise<Credential | undefined> {
    const { clock } = call.scope.services
    const holding = this.#holdings(call)
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
      return this.#work(holding, 'asking', call, async () => this.#given(holding, (await later) as Answer, call), run)
    }
    run.isOver = true
    return this.#given(holding, answer, call)
  }

  /** What `token()` has given, or what stands for it; that is renewed in time. */
  #given(holding: Holding, answer: Answer, call: Call): Credential | undefined | Promise<Credential | undefined> {
    const credential = this.#accept(holding, answer, call)
    const { kept } = holding
    const isEnding = kept?.isRefreshed && holding.usedAt >= kept.renewAt
    return isEnding ? this.#renewEnding(holding, kept, call) : credential
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
    // What `token()` gives is the user's own: it may well be the same once more, which renews nothing for anybody.
    if (!refreshes || ask !== refresh || old.secret === undefined) return work()
    // Another tab or process may be at work, and not this source: nobody who waits for that waits for itself.
    run.calls++
    const { token, isOwn } = await refreshes.renew(old.secret, lostRefresh === 'try', async () => {
      run.calls--
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
    // Of a login, whatever gave it, the next one comes from `refresh`.
    isRefreshed = holding.login !== undefined,
  ): Credential | undefined {
    const { kept, known } = holding
    holding.kept = undefined
    if (answer === undefined || answer === null) return undefined
    const token = typeof answer === 'string' ? answer : answer.token
    if (typeof token !== 'string')
      throw new TypeError('a token is a text, or { token } with a text; this one is neither')
    const isKnown = known.has(token)
    const { scheme, expiresInMs, expiresAt } = answer as BearerToken
    const credential = this.#credential(holding, token, from, scheme)
    // `token()` still gives the one before, or gives this one, too: nobody else has logged in.
    if (kept && !from && isKnown && credential.principal === kept.credential.principal)
      return (holding.kept = kept).credential
    const { clock } = call.scope.services
    const { replacement, refused } = holding
    // What servers leave out makes `expires_in * 1000` no number, and an end of the life that never or always has come.
    const lifeMs = Number(expiresInMs ?? Number(expiresAt ?? undefined) - clock.wallNow())
    const isPlain = Number.isNaN(lifeMs)
    if (!isRefreshed) holding.isPlain = isPlain
    const isRefused = refused.has(credential)
    if (isRefused && replacement && !refused.has(replacement)) return replacement
    // What renewed one that was about to end replaces all before it, too.
    if (from) holding.replacement = credential
    if (!isPlain && !isRefused) {
      const endsAt = clock.now() + lifeMs
      const marginMs = this.#options.refreshBeforeMs ?? Math.min(60_000, lifeMs / 10)
      holding.kept = { credential, endsAt, renewAt: endsAt - marginMs, isRefreshed }
    }
    return credential
  }

  #credential(
    { known, login }: Holding,
    token: string,
    from: Credential | undefined,
    scheme = this.#scheme,
  ): Credential {
    const old = known.get(token)
    if (old) return old
    const id = (this.#id ??= uuid())
    const own = login ? login.id : this.#options.identity && id
    const principal = own ?? from?.principal ?? `${id} ${++this.#principals}`
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
   * it all the same, and would wait for itself; but not by that of a login, whose every request has an end of its own.
   */
  #join(holding: Holding, { promise, run }: Work, call: Call): Promise<Credential | undefined> {
    if (run.turn === turn || call.attempt > 1 || call.isReopen || holding.login) return promise
    const { clock, deadlines } = call.scope.services
    return new Promise((resolve, reject) => {
      const watch = () =>
        deadlines.add(clock.now() + suspicionMs, () => {
          const { kept } = holding
          if (run.calls > 0) armed = watch()
          else if (kept && !holding.isPlain && clock.now() < kept.endsAt) resolve(kept.credential)
          else reject(new SelfWait(selfWaitText))
        })
      let armed = watch()
      promise.then(resolve, reject).finally(() => deadlines.remove(armed))
    })
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
