/// <reference lib="esnext.disposable" preserve="true" />
import type { CallOptions } from '../core/call/call-options.ts'
import type { Context } from '../core/call/context.ts'
import type { AnyOutbox, Contract, InputOf, Operation, OutputOf } from '../core/call/operation.ts'
import type { Code } from '../core/errors/code.ts'
import type { Seal } from './seal.ts'
import type { Settle } from './settle.ts'

/** How a durable operation is carried out beyond one process. */
export interface DurableOptions<In, Out> {
  /** How a server is asked that honours no keys, or whose key is over: made by `settledBy`. @defaultValue it is not asked */
  readonly settle?: Settle<In, Out> | undefined
  /** Entries of one lane are sent one at a time, in the order in which they were written down. @defaultValue none: each goes by itself */
  readonly lane?: ((input: In) => string) | undefined
  /** Of the input's shape; raised when a release changes it. @defaultValue 1 */
  readonly version?: number | undefined
  /** From the input of an older version to that of the next one; applied to what was never sent. @defaultValue none */
  readonly migrate?: { readonly [from: number]: (input: any) => any } | undefined
  /** What of the reply stays in the ledger: plain data. @defaultValue nothing */
  readonly keep?: ((message: Out) => unknown) | undefined
  /** How long the server remembers a key; ms. @defaultValue as the profile says, else 86_400_000 (24 h) */
  readonly keyLifetimeMs?: number | undefined
}

/** What an outbox is made with. */
export interface OutboxOptions {
  /** Holds every durable operation: by it, entries that an earlier run left find theirs again. */
  readonly contract: Contract
  /** Heads the keys in the store: two outboxes of one store have two names. @defaultValue 'outbox' */
  readonly name?: string | undefined
  /** Encrypts what is kept of the input: `sealedBy(key)`. @defaultValue it is kept as it is */
  readonly seal?: Seal | undefined
  /** After this time without a sign, an entry that is being sent may be taken over; a quarter of it, at most 15 s, is margin; ms. @defaultValue 60_000 */
  readonly leaseMs?: number | undefined
  /** Sends of one entry that may have reached the server before a person has to look. @defaultValue 12 */
  readonly maxSends?: number | undefined
  /** How long entries that are confirmed or failed stay in the ledger; ms. @defaultValue 604_800_000 (7 days) */
  readonly keepMs?: number | undefined
  /**
   * The context under which entries of an identity are sent, for processes that serve several: undefined where that is not
   * to be done here. @defaultValue the empty context, for the identity that `auth.identity` gives it
   */
  readonly contextOf?: ((identity: string) => Context | undefined) | undefined
  /** What a call does whose entry cannot be written: fails unsent, or is sent without one. @defaultValue 'refuse' */
  readonly whenStoreFails?: 'refuse' | 'send' | undefined
}

/** Why an entry waits for a person. */
export type PendingReason =
  | 'attempts'
  | 'key_expired'
  | 'key_conflict'
  | 'unsettled'
  | 'login'
  | 'forbidden'
  | 'identity'
  | 'version'
  | 'unreadable'

/** One durable call, as it stands. */
export type OutboxEntry = {
  /** Its own; `retryNow`, `discard` and `settle` take it. */
  readonly id: string
  /** The name that `durable` gave the operation. */
  readonly operation: string
  /** The idempotency key under which it is sent. */
  readonly key: string
  readonly lane?: string
  /** The server may have carried it out. */
  readonly mayHaveRun: boolean
  /** Sends that may have reached the server. */
  readonly sends: number
  /** Ms since 1970. */
  readonly createdAt: number
  /** Ms since 1970. */
  readonly changedAt: number
} & (
  | {
      readonly state: 'queued'
      /** When it is sent next, where it waits; ms since 1970. */
      readonly nextAt?: number
      /** The id of the entry of its lane that it waits for. */
      readonly behind?: string
    }
  | { readonly state: 'sending' }
  | { readonly state: 'pending'; readonly reason: PendingReason }
  | {
      readonly state: 'confirmed'
      readonly by: 'reply' | 'settle' | 'user'
      /** What `keep` gave. */
      readonly kept?: unknown
    }
  | {
      readonly state: 'failed'
      readonly by: 'reply' | 'settle' | 'user'
      readonly error: { readonly code: Code; readonly status?: number; readonly message: string }
    }
)

/** Which entries are wanted. */
export interface EntryFilter<S extends OutboxEntry['state'] = OutboxEntry['state']> {
  readonly id?: string | undefined
  readonly state?: S | undefined
  /** The name that `durable` gave. */
  readonly operation?: string | undefined
}

type ArgsOf<In> = {} extends In ? [input?: In, options?: CallOptions] : [input: In, options?: CallOptions]

/** Durable calls and what became of them. */
export interface Outbox extends AnyOutbox, AsyncDisposable {
  /**
   * Writes a call down and waits for nothing else: the form for offline, and for UIs.
   *
   * @throws {CallError} as the call would, before anything is sent.
   */
  enqueue<O extends Operation | ((...args: any[]) => Promise<unknown>)>(
    operation: O,
    ...args: ArgsOf<O extends Operation ? InputOf<O> : O extends (...args: infer A) => unknown ? A[0] : never>
  ): Promise<OutboxEntry>
  /** The entries of the identity that is logged in now, the oldest first. */
  entries<S extends OutboxEntry['state'] = OutboxEntry['state']>(
    filter?: EntryFilter<S>,
  ): Promise<readonly Extract<OutboxEntry, { readonly state: S }>[]>
  /** Tells of the entries now and after each change, those of other tabs too. Returns what ends that. */
  subscribe(listener: (entries: readonly OutboxEntry[]) => void): () => void
  /** Makes entries due at once, all or one; those that wait for a person because of attempts, a login or an unsettled outcome too. */
  retryNow(id?: string): Promise<void>
  /**
   * Takes an entry out. False where it has ended, is being sent, or may have been carried out: the last is overruled by
   * `evenIfSent`.
   */
  discard(id: string, options?: { readonly evenIfSent?: boolean }): Promise<boolean>
  /**
   * Says what a person has found out.
   *
   * @throws {CallError} `not_found` where there is no such entry, `failed_precondition` where it is being sent, `aborted`
   *   where the store does not take the change.
   */
  settle(id: string, outcome: 'confirmed' | 'failed'): Promise<void>
  /** Forgets the entries of an identity, at logout; what is being sent stays. Returns how many are gone. @defaultValue of the identity that is logged in now */
  clear(options?: { readonly identity?: string }): Promise<number>
  /** Sends nothing more, and gives nothing up: the next run goes on. */
  close(): Promise<void>
}

/** The message of what `bind` makes of an operation. */
export type MessageOf<C> = C extends (...args: any[]) => Promise<infer Out> ? Out : OutputOf<C>
