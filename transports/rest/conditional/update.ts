import type { CallOptions } from '../../../src/core/call/call-options.ts'
import type { UnaryResult } from '../../../src/core/call/call-types.ts'
import type { Signal } from '../../../src/core/call/signal.ts'
import { type CallError, isAnyCallError } from '../../../src/core/errors/error.ts'
import { refusal } from '../../../src/core/errors/refusal.ts'
import { guard } from '../../../src/core/guard.ts'
import { anything, checkOptions, count, has, oneOf, type RulesOf, takes } from '../../../src/core/options.ts'
import { type Clock, systemClock, type Timer } from '../../../src/core/time/clock.ts'
import { ageOf, ifMatch, ifUnmodifiedSince } from './conditional.ts'
import { parseEntityTag } from './entity-tag.ts'

/** How an update is made. */
export interface UpdateOptions {
  /** How often the resource is read and changed before a conflict is final. @defaultValue 5 */
  readonly maxAttempts?: number | undefined
  /**
   * Where the server compares versions: by `ETag` (else `Last-Modified`), or by a version that stands in the body and is
   * sent back with it (Kubernetes' `resourceVersion`, `etag` of AIP-154); 409 and ABORTED then are conflicts, too.
   *
   * @defaultValue 'etag'
   */
  readonly version?: 'etag' | 'body' | undefined
  /** As of `ifMatch`: whether `W/` is left out of a weak tag. @defaultValue 'refuse' */
  readonly weak?: 'refuse' | 'strip' | undefined
  /**
   * What becomes of a conflict behind an attempt that may have been carried out (`error.mayBeDone`): the conflict may be with
   * one's own write. `reapply` changes what is there once more, and tells `change` so by `facts.mayBeDone`.
   *
   * @defaultValue 'fail'
   */
  readonly ambiguous?: 'fail' | 'reapply' | undefined
  /** Ends it: reading, changing, waiting. */
  readonly signal?: Signal | undefined
  /** Time and chance; a virtual clock in tests. @defaultValue the system's */
  readonly clock?: Clock | undefined
}

/** What `change` is told beside the current message. */
export interface UpdateFacts {
  /** The first is 1. */
  readonly attempt: number
  /** An earlier write may have been carried out: look whether the current message has it. */
  readonly mayBeDone: boolean
}

const rules: RulesOf<UpdateOptions> = {
  maxAttempts: count,
  version: /* @__PURE__ */ oneOf('etag', 'body'),
  weak: /* @__PURE__ */ oneOf('refuse', 'strip'),
  ambiguous: /* @__PURE__ */ oneOf('fail', 'reapply'),
  signal: anything,
  clock: /* @__PURE__ */ takes('a Clock such as virtualClock()', /* @__PURE__ */ has('setTimer')),
}

/** The longest wait before the first conflict's next attempt, which doubles; ms. */
const baseMs = 50
const maxWaitMs = 2000
/** For what a proxy may have made of a tag: nginx weakens it where it compresses, Apache and Caddy write the coding into it. */
const plain = { 'accept-encoding': 'identity' }

/**
 * Reads a resource and changes it without losing what others change meanwhile: the write carries the tag of what was read,
 * and a conflict (412) has both done again, behind a jittered wait.
 *
 * @param read - reads it: `(options) => api.users.get.reply({ id }, options)`.
 * @param change - writes the changed message with the options that it is given, which hold the condition, or leaves it. Runs
 *   once an attempt.
 * @returns what the last `change` gave.
 * @throws {CallError} the conflict, `failed_precondition`, where it comes in every attempt; `internal` where `change` throws.
 * @example
 * await update(
 *   (options) => api.users.get.reply({ id: 42 }, options),
 *   (user, options) => api.users.replace({ ...user, visits: user.visits + 1 }, options),
 * )
 */
export async function update<T, R>(
  read: (options: CallOptions) => Promise<UnaryResult<T>>,
  change: (current: T, options: CallOptions, facts: UpdateFacts) => R | PromiseLike<R>,
  options: UpdateOptions = {},
): Promise<R> {
  checkOptions('update()', options, rules)
  const { maxAttempts = 5, ambiguous = 'fail', signal, clock = systemClock } = options
  let mayBeDone = false
  let isPlain = false
  for (let attempt = 1; ; attempt++) {
    if (signal?.aborted) throw signal.reason
    const current: Current<T> = await readWith(read, options, isPlain)
    const facts = { attempt, mayBeDone }
    try {
      const changing = guard('change() of update()', () => change(current.message, current.options, facts), undefined, {
        sent: 'maybe',
      })
      return await unlessAborted(Promise.resolve(changing), signal)
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      if (!isAnyCallError(error) || !isConflict(error, options)) throw error
      if (error.mayBeDone === true && ambiguous === 'fail') throw error
      if (attempt >= maxAttempts) throw error
      mayBeDone ||= error.mayBeDone === true
      isPlain ||= current.isEncoded
      await wait(clock.random() * Math.min(maxWaitMs, baseMs * 2 ** attempt), clock, signal)
    }
  }
}

/** What was read, and the options of the write that hold its version. */
interface Current<T> {
  readonly message: T
  readonly options: CallOptions
  readonly isEncoded: boolean
}

async function readWith<T>(
  read: (options: CallOptions) => Promise<UnaryResult<T>>,
  { version, weak, signal, clock = systemClock }: UpdateOptions,
  isPlain: boolean,
): Promise<Current<T>> {
  const own: CallOptions = signal ? { signal } : {}
  const ask = (headers?: Record<string, string>): Promise<UnaryResult<T>> =>
    guardRead(() => read(headers ? { ...own, headers } : own), signal)
  let reply = await ask(isPlain ? plain : undefined)
  if (typeof reply?.headers?.has !== 'function')
    throw refusal('update(read, change): read gives what .reply() gives', undefined)
  const isEncoded = reply.headers.has('content-encoding')
  if (version === 'body') return { message: reply.message, options: own, isEncoded }
  if (isWeak(reply) && weak !== 'strip' && !isPlain) reply = await ask(plain)
  if (reply.headers.has('etag')) return { message: reply.message, options: ifMatch(reply, { ...own, weak }), isEncoded }
  // Dates tell seconds apart, so one that is too young is waited for.
  const ageMs = ageOf(reply)
  if (ageMs < 1000) {
    // One of the future never comes to be old enough: it is read once more, and refused.
    await wait(Math.min(1000 - ageMs, maxWaitMs), clock, signal)
    reply = await ask(isPlain ? plain : undefined)
  }
  return { message: reply.message, options: ifUnmodifiedSince(reply, own), isEncoded }
}

function isWeak({ headers }: UnaryResult<unknown>): boolean {
  return parseEntityTag(headers.get('etag') ?? '', true)?.isWeak === true
}

/** A read that is not ours may throw anything; the caller's own abort passes as it is. */
async function guardRead<T>(run: () => Promise<T>, signal: Signal | undefined): Promise<T> {
  try {
    return await unlessAborted(Promise.resolve(guard('read() of update()', run)), signal)
  } catch (error) {
    throw signal?.aborted ? signal.reason : error
  }
}

function isConflict({ status, code }: CallError, { version }: UpdateOptions): boolean {
  if (status === 412) return true
  return version === 'body' && (status === 409 || code === 'aborted')
}

/** An awaited wait holds the process; an abort wakes it. */
function wait(ms: number, clock: Clock, signal: Signal | undefined): Promise<void> {
  let timer: Timer | undefined
  const waited = new Promise<void>((resolve) => {
    timer = clock.setTimer(resolve, ms)
  })
  return unlessAborted(waited, signal).finally(() => timer?.clear())
}

/** What work gives, or at once why it is aborted: code that is not ours may not heed its signal. */
function unlessAborted<T>(work: Promise<T>, signal: Signal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal?.reason)
    const left = (): void => signal?.removeEventListener('abort', leave)
    void work.then(resolve, reject).then(left)
    if (signal?.aborted) leave()
    else signal?.addEventListener('abort', leave, { once: true })
  })
}
