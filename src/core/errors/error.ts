import type { HeaderMap } from '../call/header-map.ts'
import { inspect, isObject } from '../tag.ts'
import type { Code } from './code.ts'
import type { Failure, Phase, Sent, Violation } from './failure.ts'

/** One earlier attempt, in short. */
export interface FailedAttempt {
  readonly attempt: number
  readonly code: Code
  readonly status?: number
  readonly phase: Phase
  readonly sent: Sent
  readonly reason?: string
  /** The route that it took, where `failover` gave the call several. */
  readonly operation?: string
}

/** Why a transient failure was not sent again. */
export type NotRetried =
  | 'not_idempotent'
  | 'body_not_replayable'
  | 'attempts_exhausted'
  | 'budget_exhausted'
  | 'wait_exceeds_deadline'
  | 'forbidden_by_server'
  | 'key_expired'
  | 'disabled'
  /** The call was made inside an attempt of another one, which decides. */
  | 'nested'
  /** A redirect (301–303) made a GET of it: the first request was carried out. */
  | 'redirected'
  /** The server asked for a longer wait than `maxRetryAfterMs`. */
  | 'wait_too_long'
  /** A breaker or a limiter of this client refused it, so that nothing was sent. */
  | 'refused_here'

/** What an error needs to know of its call: a `Call` fits. */
export interface ErrorOrigin {
  readonly operation: {
    readonly name: string
    readonly protocol: string
    readonly via: string
    readonly transportName?: string
  }
  readonly attempt?: number
  readonly idempotencyKey?: string | undefined
  /** How far the call has come, where one is under way. */
  readonly scope?: { readonly root: { readonly phase: Phase; readonly sent: Sent } }
}

const brand: unique symbol = Symbol.for('polywire.CallError') as never
/** What a server may have echoed a credential into: kept out of JSON, console and util.inspect. */
const hidden = [
  'serverMessage',
  'violations',
  'details',
  'problem',
  'headers',
  'trailers',
  'body',
  'cause',
  'idempotencyKey',
  'connection',
] as const
/** What may be logged, in the order of reading. */
const shown = [
  'name',
  'message',
  'code',
  'protocol',
  'operation',
  'status',
  'phase',
  'sent',
  'isRetryable',
  'retryAfterMs',
  'attempt',
  'failures',
  'notRetried',
  'mayBeDone',
  'requestId',
  'reason',
  'entry',
  'runStatus',
] as const
/** Members that only some errors have. */
const optional = ['status', 'retryAfterMs', 'requestId', 'reason'] as const
const rank: Record<Sent, number> = { no: 0, maybe: 1, yes: 2 }

/**
 * The one error of all protocols: what, where, whether it was sent, and what to do.
 *
 * The caller's own abort is no CallError: it rejects with the signal's reason. Test with {@link isCallError}, which
 * works over duplicate copies of the package; serialising it never shows a credential.
 */
export class CallError extends Error {
  override readonly name = 'CallError'
  declare readonly code: Code
  /** `rest`, `graphql`, `grpc-web`, `sse`, `websocket`; empty before any transport was chosen. */
  declare readonly protocol: string
  /** The operation's template, never the filled URL: `GET /users/{id}`. */
  declare readonly operation: string
  /** HTTP status, gRPC status or close code, where there was one. */
  declare readonly status?: number
  declare readonly phase: Phase
  /** Whether the server can have acted on the call, over all attempts. */
  declare readonly sent: Sent
  /** The failure is transient: the same call may succeed later. */
  declare readonly isRetryable: boolean
  /** The server's wait in ms, where it asked for one. */
  declare readonly retryAfterMs?: number
  /** The attempt that failed; the first is 1. */
  declare readonly attempt: number
  /** The attempts before this one. */
  readonly failures: readonly FailedAttempt[] = []
  /** Why a transient failure was not sent again. */
  declare readonly notRetried?: NotRetried
  /**
   * An earlier attempt may have done what this answer (not found, a precondition that failed) then speaks of: a DELETE that
   * answers 404, a conditional PUT that answers 412. Read before you do it again.
   */
  declare readonly mayBeDone?: true
  declare readonly requestId?: string
  /** The server's own code. */
  declare readonly reason?: string
  declare readonly serverMessage?: string
  declare readonly violations?: readonly Violation[]
  declare readonly details?: unknown
  /** RFC 9457 problem details. */
  declare readonly problem?: Readonly<Record<string, unknown>>
  declare readonly headers?: HeaderMap
  declare readonly trailers?: HeaderMap
  /** The decoded error body; typed where the operation declares `errors`. */
  declare readonly body?: unknown
  declare readonly idempotencyKey?: string
  /** The entry of the outbox that the call stands in, and how that stood when the call was given up: it may go on. */
  declare readonly entry?: { readonly id: string; readonly state: string }
  /** Of a long-running operation, how the run stood: one that `failed` has run, what is `running` goes on at the server. */
  declare readonly runStatus?: 'running' | 'succeeded' | 'failed' | 'canceled'
  /** The shared connection event behind it, where several calls failed together. */
  declare readonly connection?: object

  constructor(failure: Failure, origin?: ErrorOrigin) {
    const operation = origin?.operation
    const where = operation ? `${operation.name} via ${operation.transportName ?? operation.via}` : 'polywire'
    // Tables of texts are written before anything has answered: only what there is is pointed at.
    const { violations, serverMessage } = failure
    const told = violations?.length ? '; see violations' : serverMessage ? '; see serverMessage' : ''
    super(`[${failure.code}] ${where}: ${failure.message}${told}`)
    this.code = failure.code
    this.protocol = operation?.protocol ?? ''
    this.operation = operation?.name ?? ''
    // What is refused in a later attempt was not sent, and the call was.
    const root = origin?.scope?.root
    this.phase = failure.phase ?? root?.phase ?? 'resolve'
    this.sent = failure.sent ?? root?.sent ?? 'no'
    // The first request with this key still runs, which passes by itself: 409 with Retry-After, ABORTED with a pushback.
    const isKeyInFlight = failure.code === 'aborted' && failure.retryAfterMs !== undefined && origin?.idempotencyKey
    this.isRetryable = !failure.isRetryForbidden && Boolean(failure.isRetryable || isKeyInFlight)
    this.attempt = origin?.attempt ?? 0
    for (const key of optional) if (failure[key] !== undefined) Object.assign(this, { [key]: failure[key] })
    for (const key of hidden) {
      const value = key === 'idempotencyKey' ? origin?.idempotencyKey : failure[key]
      if (value !== undefined) Object.defineProperty(this, key, { value, enumerable: false, configurable: true })
    }
    facts.set(this, failure)
  }

  get [brand](): true {
    return true
  }

  /** The safe half, for logs. */
  toJSON(): Record<string, unknown> {
    return Object.fromEntries(shown.map((key) => [key, this[key]]))
  }

  [inspect](): string {
    // Name and message stand first among them, and in the stack.
    const facts = shown.slice(2).filter((key) => this[key] !== undefined)
    return `${this.stack ?? this.message}\n  ${facts.map((key) => `${key}: ${JSON.stringify(this[key])}`).join(', ')}`
  }
}

/** What the policies ask of a failure and users need not see. */
const facts = new WeakMap<CallError, Failure>()

/** The failure that `error` was made of, for policies; an error of another copy of the package gives its public half. */
export function failureOf(error: CallError): Failure {
  return facts.get(error) ?? error
}

/** Whether `error` is a CallError, of this or another copy of the package. */
export function isAnyCallError(error: unknown): error is CallError {
  return isObject(error) && (error as { [brand]?: unknown })[brand] === true
}

interface StackHolder {
  stack?: string
}
const { captureStackTrace } = Error as { captureStackTrace?: (holder: StackHolder) => void }

/**
 * Adds to an error's stack the line of whoever awaits the call that failed: the error itself was made in a socket's
 * callback, where the caller no longer stands in the stack. Called where the facade rejects, since the engine follows
 * the chain of awaits from there; a call that succeeds pays nothing.
 */
export function addCaller(error: unknown): unknown {
  if (!captureStackTrace || !isAnyCallError(error) || typeof error.stack !== 'string') return error
  const here: StackHolder = {}
  captureStackTrace(here)
  const own = error.stack
  const callers = String(here.stack)
    .split('\n')
    .filter((line) => /^\s+at async /.test(line) && !own.includes(line))
  try {
    if (callers.length > 0) error.stack = [own, ...callers].join('\n')
  } catch {
    // Somebody has frozen it: it stays as it is.
  }
  return error
}

/**
 * Completes the last error with what went before it: the earlier attempts, the worst `sent`, and why it ends here. Where
 * something was sent, words that nothing was are true of its own attempt.
 */
export function withHistory(error: CallError, failures: readonly FailedAttempt[], notRetried?: NotRetried): CallError {
  const sent = failures.reduce<Sent>((worst, each) => (rank[each.sent] > rank[worst] ? each.sent : worst), error.sent)
  if (sent !== 'no') error.message = error.message.replace('nothing was sent', 'this attempt was not sent')
  return Object.assign(error, { failures: [...failures], sent }, notRetried && { notRetried })
}

/** An error as a line of another error's `failures`. */
export function toFailedAttempt(error: CallError): FailedAttempt {
  const { attempt, code, status, phase, sent, reason } = error
  return {
    attempt,
    code,
    phase,
    sent,
    ...(status !== undefined && { status }),
    ...(reason !== undefined && { reason }),
  }
}
