import { uuid } from '../core/call/uuid.ts'
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
    return record?.v === 1 ? record : undefined
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
  return `${name}/lane/${hashOf(identity)}/${encodeURIComponent(lane)}`
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

/** What a claim says beside itself. */
export interface ClaimFacts {
  readonly owner: string
  /** Ms since 1970. */
  readonly wallNow: number
  /** It is sent, and not only asked about. */
  readonly isSend: boolean
  /** The input as it is sent, where a release has changed its shape. */
  readonly migrated?: Pick<EntryRecord, 'input' | 'version'> | undefined
}

type Changes = { readonly [Name in keyof EntryRecord]?: EntryRecord[Name] | undefined }

/** A changed record, with a token of its own; a member that is undefined goes. */
function changed(record: EntryRecord, at: number, changes: Changes): EntryRecord {
  return { ...record, at, token: uuid(), ...changes } as EntryRecord
}

/** The transitions of an entry: pure, each named by what has happened. The table stands in docs/outbox.md. */
export const toState = {
  /** Rows 3 and 4. What was taken over may have run, whoever had it. A send is counted before, so that one that crashes the process counts. */
  claimed(record: EntryRecord, { owner, wallNow, isSend, migrated }: ClaimFacts): EntryRecord {
    const fence = record.fence + 1
    return changed(record, wallNow, {
      state: 'sending',
      fence,
      by: owner,
      nextAt: undefined,
      reason: undefined,
      mayHaveRun: isSend || ranBefore(record),
      ...(isSend && { sentFence: fence, keyAt: record.keyAt ?? wallNow, sends: record.sends + 1 }),
      ...migrated,
    })
  },
  /** Row 5. */
  confirmed(record: EntryRecord, wallNow: number, by: 'reply' | 'settle' | 'user', kept?: string): EntryRecord {
    return changed(record, wallNow, {
      ...ended,
      state: 'confirmed',
      mayHaveRun: true,
      outcome: { by, ...(kept !== undefined && { kept }) },
    })
  },
  /** Row 6. What was refused has not run, unless it did so before. */
  failed(
    record: EntryRecord,
    before: EntryRecord,
    wallNow: number,
    by: 'reply' | 'user',
    error: FailedOutcome,
  ): EntryRecord {
    return changed(record, wallNow, {
      ...ended,
      state: 'failed',
      mayHaveRun: ranBefore(before),
      outcome: { by, error },
    })
  },
  /**
   * Row 7: what the claim has said is taken back, but for what was so before.
   *
   * @param isCounted - something is wrong here that may be so for ever: it counts as a send.
   */
  unsent(record: EntryRecord, before: EntryRecord, wallNow: number, nextAt: number, isCounted: boolean): EntryRecord {
    return changed(record, wallNow, {
      state: 'queued',
      nextAt,
      mayHaveRun: ranBefore(before),
      sentFence: before.sentFence,
      keyAt: before.keyAt,
      sends: isCounted ? record.sends : before.sends,
    })
  },
  /** Row 8: of a send, or of a question that told nothing. */
  unclear(record: EntryRecord, wallNow: number, nextAt: number, asks = record.asks): EntryRecord {
    return changed(record, wallNow, { state: 'queued', mayHaveRun: true, nextAt, asks })
  },
  /** The end of row 10: it has not run, and the key is as new. */
  absent(record: EntryRecord, wallNow: number): EntryRecord {
    return changed(record, wallNow, { state: 'queued', mayHaveRun: false, keyAt: undefined, asks: 0 })
  },
  /** Row 9. */
  pending(record: EntryRecord, wallNow: number, reason: PendingReason, before?: EntryRecord): EntryRecord {
    // What was not sent this time is as it was before the claim.
    const unsent = before && { mayHaveRun: ranBefore(before), sentFence: before.sentFence }
    return changed(record, wallNow, { state: 'pending', reason, nextAt: undefined, ...unsent })
  },
  /** Due at once; a person, a login or a release begins the count anew. */
  due(record: EntryRecord, wallNow: number): EntryRecord {
    const isWaiting = record.state === 'pending'
    return changed(record, wallNow, {
      state: 'queued',
      nextAt: undefined,
      reason: undefined,
      ...(isWaiting && { sends: 0, asks: 0 }),
    })
  },
  /** Whoever is about to claim it finds another text. */
  fenced(record: EntryRecord, wallNow: number, fence: number): EntryRecord {
    return changed(record, wallNow, { fence: Math.max(record.fence, fence) })
  },
}

/** It may have run before this claim: whoever had it may have sent it. */
export function ranBefore({ mayHaveRun, state }: EntryRecord): boolean {
  return mayHaveRun || state === 'sending'
}

/** What a ledger keeps of an error. */
export type FailedOutcome = NonNullable<NonNullable<EntryRecord['outcome']>['error']>

const ended: Changes = { input: undefined, isSealed: undefined, nextAt: undefined, reason: undefined }

/** Of an error: what may be logged, and no more. */
export function outcomeOf({ code, status, message }: CallError): FailedOutcome {
  return { code, message, ...(status !== undefined && { status }) }
}
