import { CallError, isAnyCallError } from '../errors/error.ts'
import { isTransient } from '../errors/transient.ts'
import type { Store } from '../store/store.ts'
import { within } from '../time/bounded.ts'
import { type Answer, type Ground, parse } from './ground.ts'
import { Seal } from './seal.ts'
import type { RefreshSharing, Renewal, SharedToken } from './sharing.ts'

/** What stands in the store about the successor of one token. */
interface Entry {
  /** Somebody has begun to renew it, and may have used up what it takes. */
  readonly using: string
  /** What replaced it, sealed. */
  readonly sealed: string
  /** It could not be renewed: since who did it is gone, since it was refused, or for now. */
  readonly failed: 'lost' | 'refused' | 'unavailable'
}

/** How long the successor of a token is kept for those who come late, and how long a renewal that was lost is known; ms. */
const keepMs = 86_400_000
/** So long nobody repeats a renewal that failed for now, or for good; ms. */
const unavailableMs = 1000
const refusedMs = 5000
/** How long a store is waited for where nothing may be risked without it, and where it may; ms. */
const storeMs = 5000
const repeatableStoreMs = 1000
/** So long a mark stays after a request has failed without an answer; ms. */
const doubtMs = 250
/** So long nobody else may take what is asked for, and does not come, for lost; ms. */
const lateMs = 30_000
/** What a store did not take is written again this often, and so many times; ms. */
const againMs = 3000
const maxAgain = 100
/** How often is looked again while another one renews; ms. */
const lookMs = 100
/** As many tokens may have been replaced while nobody looked here. */
const maxSteps = 100

/**
 * One renewal of a token among all who share: a lease, and then another look, before anybody asks the token's server.
 *
 * What replaced a token is kept under a name made of that token, sealed by it: who has the old one finds the new one, and
 * whoever reads the store finds nothing. Who died between the beginning and the end leaves a mark: what it takes to
 * renew may be used up, so nobody uses it again, unless it may be used twice.
 */
export class SharedRefresh implements RefreshSharing {
  readonly #ground: Ground
  readonly #timeoutMs: number

  constructor(ground: Ground, timeoutMs: number) {
    this.#ground = ground
    this.#timeoutMs = timeoutMs
  }

  async renew(old: string, isRepeatable: boolean, ask: () => Promise<SharedToken | undefined>): Promise<Renewal> {
    const run = new Run(this.#ground, this.#timeoutMs, isRepeatable, ask)
    try {
      return await run.renew(old)
    } catch (error) {
      if (!(error instanceof StoreLost)) throw error
      if (isRepeatable && !run.hasAsked) return { token: await ask(), isOwn: true }
      throw unavailable('the store that tabs or processes share tokens by does not answer', error.cause)
    }
  }
}

/** The store has failed, or is late. */
class StoreLost extends Error {}

class Run {
  readonly #ground: Ground
  readonly #timeoutMs: number
  readonly #isRepeatable: boolean
  readonly #ask: () => Promise<SharedToken | undefined>
  /** In the name of this run alone: a client may run two for two tokens. */
  readonly #me: string
  hasAsked = false
  /** What was asked for did not come in time, and may come. */
  #late: Promise<unknown> | undefined
  /** The store did not take what has become of it, and may take it. */
  #again: Promise<void> | undefined

  constructor(ground: Ground, timeoutMs: number, isRepeatable: boolean, ask: () => Promise<SharedToken | undefined>) {
    this.#ground = ground
    this.#timeoutMs = timeoutMs
    this.#isRepeatable = isRepeatable
    this.#ask = ask
    this.#me = `${ground.me} ${++runs}`
  }

  async renew(old: string): Promise<Renewal> {
    const seal = await Seal.of(old, this.#ground.name)
    const key = `${this.#ground.name}/rt/${seal.name}`
    const lease = `${key}/lease`
    const { clock } = this.#ground.services
    const leaseMs = this.#timeoutMs + 1000
    const until = clock.now() + leaseMs + 1000
    for (;;) {
      const known = await this.#look(seal, key)
      if (known) return known
      const startedAt = clock.now()
      if (await this.#store((store) => store.add(lease, this.#me, { ttlMs: leaseMs })))
        try {
          // Somebody may have come to an end between the look and the lease.
          const newer = await this.#look(seal, key)
          if (newer) return newer
          // A process that was stopped meanwhile has lost the lease.
          if (clock.now() - startedAt < leaseMs - this.#timeoutMs) return await this.#hold(seal, key)
        } finally {
          this.#release(lease)
        }
      if (clock.now() >= until) throw unavailable('another tab or process is renewing the token, and comes to no end')
      await this.#change(key)
    }
  }

  /** Gives the lease up; but while what may be used up already is only late, nobody is to hold it for lost. */
  #release(lease: string): void {
    const late = this.#isRepeatable ? undefined : (this.#late ?? this.#again)
    if (late)
      void this.#ground.ask((store) => store.compareAndSet(lease, this.#me, this.#me, { ttlMs: lateMs }), storeMs)
    void Promise.resolve(late).then(() => this.#ground.ask((store) => store.delete(lease, { ifValue: this.#me })))
  }

  /** With the lease: marks, asks, writes down. */
  async #hold(seal: Seal, key: string): Promise<Renewal> {
    const text = await this.#store((store) => store.get(key))
    if (typeof text === 'string' && parse<Entry>(text)?.using !== undefined && !this.#isRepeatable) {
      await this.#store((store) => store.compareAndSet(key, text, lost, { ttlMs: keepMs }))
      this.#ground.tell({ kind: 'token', about: key })
      throw failedElsewhere('lost')
    }
    const using = JSON.stringify({ using: this.#me })
    const isMarked = await this.#store((store) =>
      typeof text === 'string'
        ? store.compareAndSet(key, text, using, { ttlMs: keepMs })
        : store.add(key, using, { ttlMs: keepMs }),
    ).catch(async (error: unknown) => {
      // It may stand there all the same, and nobody has asked.
      await this.#settle(key, (store) => store.delete(key, { ifValue: using }))
      throw error
    })
    // Another one was quicker, or the answer to the same words was lost.
    if (!isMarked && (await this.#store((store) => store.get(key))) !== using)
      throw unavailable('another tab or process has come between')
    this.hasAsked = true
    let token: SharedToken | undefined
    let isAnswered = false
    const asked = this.#ask().finally(() => {
      isAnswered = true
    })
    try {
      token = await within(this.#ground.services.clock, this.#timeoutMs, () => asked)
    } catch (cause) {
      if (isAnswered) {
        await this.#fail(key, using, cause)
        throw cause
      }
      // It is not over, only late: what comes is for the others.
      this.#late = asked
        .then(
          (late) => this.#write(seal, key, using, late),
          (failure) => this.#fail(key, using, failure),
        )
        .then(() => this.#again)
        .catch(() => {})
      throw unavailable('its server did not answer in time', cause)
    }
    const newer = await this.#write(seal, key, using, token)
    return newer ?? { token, isOwn: true }
  }

  /** What others are to use. Gives what stands there instead where this one was overtaken. */
  async #write(seal: Seal, key: string, using: string, token: SharedToken | undefined): Promise<Renewal | undefined> {
    const { clock } = this.#ground.services
    const { expiresInMs, ...rest } = token ?? { token: '' }
    const shared = typeof expiresInMs !== 'number' ? rest : { ...rest, expiresAt: clock.wallNow() + expiresInMs }
    // A source that gives nothing has none to share: the mark goes.
    const next = token && JSON.stringify({ sealed: await seal.seal(JSON.stringify(shared)) })
    const answer = await this.#settle(key, (store) =>
      next === undefined ? store.delete(key, { ifValue: using }) : replace(store, key, [using, lost], next),
    )
    // The token is good, whether others know of it or not.
    if (!answer || answer.value) return undefined
    const kept = await this.#ground.ask((store) => store.get(key), storeMs)
    return kept?.value && kept.value !== next ? this.#look(seal, key) : undefined
  }

  /** Each of the others is told the same, and nobody tries again at once. */
  async #fail(key: string, using: string, cause: unknown): Promise<void> {
    const isPassing = isTransient(cause)
    const { clock } = this.#ground.services
    // A page that is left sees its requests fail, and is gone a moment later: then the mark must stay.
    if (isPassing && !isAnswered(cause)) await new Promise<void>((done) => clock.setTimer(done, doubtMs))
    const failed: Entry['failed'] = isPassing ? 'unavailable' : 'refused'
    const ttlMs = isPassing ? unavailableMs : refusedMs
    await this.#settle(key, (store) => store.compareAndSet(key, using, JSON.stringify({ failed }), { ttlMs }))
  }

  /**
   * Writes what has become of the renewal. Where the store fails it is written again, behind whoever waits: others would
   * take the mark for one that somebody left who is gone.
   */
  async #settle<T>(key: string, write: (store: Store) => T | Promise<T>): Promise<Answer<T>> {
    const answer = await this.#ground.ask(write, storeMs)
    if (answer) this.#ground.tell({ kind: 'token', about: key })
    else this.#again ??= this.#writeAgain(key, write)
    return answer
  }

  async #writeAgain(key: string, write: (store: Store) => unknown): Promise<void> {
    const { clock } = this.#ground.services
    for (let tries = 0; tries < maxAgain; tries++) {
      await new Promise<void>((done) => clock.setTimer(done, againMs).hold(false))
      const answer = await this.#ground.ask(write, storeMs)
      if (!answer) continue
      this.#ground.tell({ kind: 'token', about: key })
      return
    }
  }

  /** What replaced the token already, however often it was replaced. */
  async #look(seal: Seal, key: string): Promise<Renewal | undefined> {
    let found: SharedToken | undefined
    for (let steps = 0; steps < maxSteps; steps++) {
      const entry = parse<Entry>(await this.#store((store) => store.get(key)))
      const text = entry?.sealed === undefined ? undefined : await seal.open(entry.sealed)
      const next = parse<SharedToken>(text) as SharedToken | undefined
      if (next?.token === undefined) {
        const failed = entry?.failed === 'lost' && this.#isRepeatable ? undefined : entry?.failed
        if (!found && failed) throw failedElsewhere(failed)
        break
      }
      found = next
      seal = await Seal.of(next.token, this.#ground.name)
      key = `${this.#ground.name}/rt/${seal.name}`
    }
    return found && { token: found, isOwn: false }
  }

  /** Until somebody says that it has changed, or for a moment. */
  #change(key: string): Promise<void> {
    const { clock } = this.#ground.services
    return new Promise((resolve) => {
      const done = (): void => {
        timer.clear()
        unhear()
        resolve()
      }
      const timer = clock.setTimer(done, this.#ground.isHearing ? lookMs * 3 : lookMs * (0.5 + clock.random()))
      const unhear = this.#ground.hear(({ kind, about }) => {
        if (kind === 'token' && about === key) done()
      })
    })
  }

  async #store<T>(run: (store: Store) => T | Promise<T>): Promise<T> {
    const answer = await this.#ground.ask(run, this.#isRepeatable ? repeatableStoreMs : storeMs)
    if (!answer) throw new StoreLost()
    return answer.value
  }
}

let runs = 0

/** What stands for a renewal that was lost: what comes after all may take its place, for nobody has asked again. */
const lost = /* @__PURE__ */ JSON.stringify({ failed: 'lost' } satisfies Partial<Entry>)

async function replace(store: Store, key: string, olds: readonly string[], next: string): Promise<boolean> {
  for (const old of olds) if (await store.compareAndSet(key, old, next, { ttlMs: keepMs })) return true
  return false
}

/** The server of the token has answered, or was never reached. */
function isAnswered(cause: unknown): boolean {
  return isAnyCallError(cause) && (cause.status !== undefined || cause.sent === 'no')
}

function unavailable(why: string, cause?: unknown): CallError {
  const message = `the token could not be renewed: ${why}; call again`
  return new CallError({ code: 'unavailable', message, isRetryable: true, cause })
}

function failedElsewhere(failed: Entry['failed']): CallError {
  if (failed === 'unavailable') return unavailable('its server could not be asked by another tab or process')
  const isLost = failed === 'lost'
  const why = isLost
    ? 'a tab or process ended while it did so, and what it takes may be used up'
    : 'its server has refused another tab or process'
  const message = `the token could not be renewed: ${why}: log in again`
  return new CallError({ code: 'unauthenticated', message, reason: isLost ? 'refresh_lost' : undefined })
}
