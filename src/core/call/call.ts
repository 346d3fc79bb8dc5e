import type { Sends } from '../send-queue/sends.ts'
import { inspect } from '../tag.ts'
import type { Credential } from './auth.ts'
import type { CallOptions } from './call-options.ts'
import { Context } from './context.ts'
import type { CallHeaders } from './header-map.ts'
import type { OperationInfo } from './operation.ts'
import type { Scope } from './scope.ts'

/** The fields of a Call that `with` may change. */
export interface CallFields {
  /** What the caller passed, after validation and adaptation. */
  readonly input: unknown
  /** What the caller said; an interceptor may say it otherwise for what is inside of it. */
  readonly options: CallOptions
  /** The mutable half; another one for a hedge leg, a timed attempt or a re-open. */
  readonly scope: Scope
  readonly headers: CallHeaders
  /** Bounds this call, or this opening of a stream: monotonic ms by the client's clock; Infinity where nothing does. */
  readonly deadline: number
  /** The deadline that goes on the wire: every unary call's, a stream's only where an absolute one bounds it; else Infinity. */
  readonly wireDeadline: number
  /** The first is 1. */
  readonly attempt: number
  /** Where a stream is to be opened again: the last cursor received. */
  readonly cursor: string | undefined
  /** A stream is being opened again: one attempt, no retry budget. */
  readonly isReopen: boolean
  /** Set by `auth`, applied to the wire by the transport, to its own origin only. */
  readonly credential: Credential | undefined
  readonly idempotencyKey: string | undefined
  /** The server is known to honour the key, so that the call may be sent again. */
  readonly isKeyHonoured: boolean
  /** Until when the server remembers the key: monotonic ms; Infinity where nothing is known. */
  readonly keyExpiresAt: number
  readonly context: Context
}

/**
 * One invocation: the immutable half. A changed call is `call.with({ … })`. Serialised, in JSON or on a
 * console, it shows what may be logged and nothing else.
 */
export class Call implements CallFields {
  // Declared only: the constructor assigns each, so there is nothing to define first.
  declare readonly operation: OperationInfo
  declare readonly options: CallOptions
  /** Whose call it is: everything shared (sockets, refreshes, not-before …) is partitioned by it. */
  declare readonly identity: string
  /** Messages to send, on a channel, client or bidi stream. */
  declare readonly sendQueue: Sends | undefined
  declare readonly input: unknown
  declare readonly scope: Scope
  declare readonly headers: CallHeaders
  declare readonly deadline: number
  declare readonly wireDeadline: number
  declare readonly attempt: number
  declare readonly cursor: string | undefined
  declare readonly isReopen: boolean
  declare readonly credential: Credential | undefined
  declare readonly idempotencyKey: string | undefined
  declare readonly isKeyHonoured: boolean
  declare readonly keyExpiresAt: number
  declare readonly context: Context

  /** @param base - another call, or what the facade starts one with. */
  constructor(base: CallStart) {
    this.operation = base.operation
    this.options = base.options
    this.identity = base.identity
    this.sendQueue = base.sendQueue
    this.input = base.input
    this.scope = base.scope
    this.headers = base.headers
    this.deadline = base.deadline ?? Number.POSITIVE_INFINITY
    this.wireDeadline = base.wireDeadline ?? Number.POSITIVE_INFINITY
    this.attempt = base.attempt ?? 1
    this.cursor = base.cursor
    this.isReopen = base.isReopen ?? false
    this.credential = base.credential
    this.idempotencyKey = base.idempotencyKey
    this.isKeyHonoured = base.isKeyHonoured ?? false
    this.keyExpiresAt = base.keyExpiresAt ?? Number.POSITIVE_INFINITY
    this.context = base.context ?? Context.empty
  }

  /** A call as the facade starts it. */
  static start(base: Omit<CallStart, 'identity' | 'sendQueue'> & Partial<CallStart>): Call {
    return new Call({ identity: '', sendQueue: undefined, ...base })
  }

  /** Ends with the call; made when first asked for. */
  get signal(): AbortSignal {
    return this.scope.signal
  }

  /** Whether the remaining time goes on the wire. */
  get isDeadlineSent(): boolean {
    return this.wireDeadline !== Number.POSITIVE_INFINITY
  }

  /** What is left in ms, never negative, of the deadline that goes on the wire, else of the one that bounds this opening. */
  get remainingMs(): number {
    const deadline = this.isDeadlineSent ? this.wireDeadline : this.deadline
    return deadline === Number.POSITIVE_INFINITY ? deadline : Math.max(0, deadline - this.scope.services.clock.now())
  }

  /** A changed copy; a field that is not named stays. */
  with(changes: Partial<CallFields>): Call {
    const copy: Mutable<Call> = new Call(this)
    for (const name in changes) copy[name as keyof CallFields] = changes[name as keyof CallFields] as never
    return copy
  }

  /** For logs: what is called, and how far it has come. Never an input, a header's value or a credential. */
  toJSON(): Record<string, unknown> {
    const { attempt, isReopen, cursor, headers } = this
    const { name: operation, protocol, via, kind } = this.operation
    const { phase, sent } = this.scope.root
    return { operation, protocol, via, kind, attempt, isReopen, cursor, phase, sent, headers: Object.keys(headers) }
  }

  [inspect](): string {
    return `Call ${JSON.stringify(this.toJSON())}`
  }

  /** The same call with some headers more; a later one of the same name wins. Names must be in lower case. */
  withHeaders(headers: CallHeaders): Call {
    return this.with({ headers: { ...this.headers, ...headers } })
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** What the facade knows when a call starts. */
export interface CallStart extends Partial<CallFields> {
  readonly operation: OperationInfo
  readonly options: CallOptions
  readonly identity: string
  readonly sendQueue: Sends | undefined
  readonly input: unknown
  readonly scope: Scope
  readonly headers: CallHeaders
}
