import type { CallError } from '../core/errors/error.ts'
import type { OutboxEntry, PendingReason } from './types.ts'
import { readValue } from './value-text.ts'

/** One entry as it stands in the store: JSON. */
export interface EntryRecord {
  /** Of this form; a greater one is a newer release's. */
  readonly v: 1
  readonly state: OutboxEntry['state']
  /** The name that `durable` gave. */
  readonly op: string
  /** Of the input's shape. */
  readonly version: number
  readonly identity: string
  readonly lane?: string
  /** Its place in the lane. */
  readonly seq?: number
  readonly id: string
  /** The idempotency key. */
  readonly key: string
  /** Rises with each claim. */
  readonly fence: number
  /** The outbox that claimed it last. */
  readonly by: string
  /** Fresh at each write: no text is ever the same twice, and who reads it again knows his own. */
  readonly token: string
  readonly mayHaveRun: boolean
  /** The last fence under which it can have been sent. */
  readonly sentFence: number
  /** When the server may have seen the key first; ms since 1970. */
  readonly keyAt?: number
  readonly sends: number
  /** Times that the server was asked, and nothing could be told. */
  readonly asks: number
  /** Ms since 1970. */
  readonly nextAt?: number
  readonly reason?: PendingReason
  /** Input and headers, see `writeValue`; sealed where the outbox has a seal. Gone once the entry is confirmed or failed. */
  readonly input?: string
  readonly isSealed?: true
  /** Of the input, so that one key is one call even when the input is gone; none where it is sealed. */
  readonly digest?: string
  readonly outcome?: {
    readonly by: 'reply' | 'settle' | 'user'
    /** See `writeValue`. */
    readonly kept?: string
    readonly error?: { readonly code: CallError['code']; readonly status?: number; readonly message: string }
  }
  /** Ms since 1970. */
  readonly createdAt: number
  /** Ms since 1970. */
  readonly at: number
}

/** The record of a text; undefined where it is none of this release's. */
export function parseRecord(text: string): EntryRecord | undefined {
  try {
    const record = JSON.parse(text) as EntryRecord
    const kept = record.outcome?.kept
    // What was kept of a reply may be a newer one's, too.
    if (kept) readValue(kept)
    return record.v === 1 ? record : undefined
  } catch {
    return undefined
  }
}

/** Nothing more happens to it. */
export function isFinal({ state }: EntryRecord): boolean {
  return state === 'confirmed' || state === 'failed'
}

/** Where an entry stands: `add` alone dedupes, since the key is part of it. */
export function placeOf(name: string, identity: string, op: string, key: string): string {
  return `${name}/${hashOf(identity)}/${encodeURIComponent(op)}/${encodeURIComponent(key)}`
}

/** Where the counter of a lane stands; not listed. */
export function lanePlaceOf(name: string, identity: string, lane: string): string {
  return `${name}/lane/${hashOf(identity)}/${lane}`
}

/** 53 bits of a text (cyrb53): keys are short, and no identity stands in them. */
export function hashOf(text: string): string {
  let [one, two] = [0xdeadbeef, 0x41c6ce57]
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    one = Math.imul(one ^ code, 2654435761)
    two = Math.imul(two ^ code, 1597334677)
  }
  one = Math.imul(one ^ (one >>> 16), 2246822507) ^ Math.imul(two ^ (two >>> 13), 3266489909)
  two = Math.imul(two ^ (two >>> 16), 2246822507) ^ Math.imul(one ^ (one >>> 13), 3266489909)
  return (4294967296 * (2097151 & two) + (one >>> 0)).toString(16).padStart(14, '0')
}

/** What users see of a record; `shown` where this release cannot send it. */
export function toEntry(record: EntryRecord, shown?: PendingReason, behind?: string): OutboxEntry {
  const { id, op, key, lane, mayHaveRun, sends, createdAt, at, state, nextAt, reason, outcome } = record
  const { by = 'reply', kept, error = { code: 'unknown', message: '' } } = outcome ?? {}
  let more: object = { state, reason }
  if (shown && !isFinal(record)) more = { state: 'pending', reason: shown }
  else if (state === 'queued') more = { state, nextAt, behind }
  else if (state === 'confirmed') more = { state, by, kept: kept && readValue(kept) }
  else if (state === 'failed') more = { state, by, error }
  const members = { id, operation: op, key, lane, mayHaveRun, sends, createdAt, changedAt: at, ...more }
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as never
}

/** It may have run before this claim: whoever had it may have sent it. */
export function ranBefore({ mayHaveRun, state }: EntryRecord): boolean {
  return mayHaveRun || state === 'sending'
}

/** What a ledger keeps of an error. */
export type FailedOutcome = NonNullable<NonNullable<EntryRecord['outcome']>['error']>

/** Of an error: what may be logged, and no more. */
export function outcomeOf({ code, status, message }: CallError): FailedOutcome {
  // As text it has no status where there is none.
  return { code, message, status } as FailedOutcome
}
