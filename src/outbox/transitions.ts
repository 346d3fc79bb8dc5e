import { type EntryRecord, type FailedOutcome, ranBefore } from './record.ts'
import type { PendingReason } from './types.ts'

// The transitions of an entry: pure, each named by what has happened. The table stands in docs/outbox.md.

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

/** A changed record; a member that is undefined goes. */
function changed(record: EntryRecord, changes: Changes): EntryRecord {
  return { ...record, ...changes } as EntryRecord
}

const ended: Changes = { input: undefined, isSealed: undefined, nextAt: undefined, reason: undefined }

/** Rows 3 and 4. What was taken over may have run, whoever had it. A send is counted before, so that one that crashes the process counts. */
export function claimed(record: EntryRecord, { owner, wallNow, isSend, migrated }: ClaimFacts): EntryRecord {
  const fence = record.fence + 1
  return changed(record, {
    state: 'sending',
    fence,
    by: owner,
    nextAt: undefined,
    reason: undefined,
    mayHaveRun: isSend || ranBefore(record),
    ...(isSend && { sentFence: fence, keyAt: record.keyAt ?? wallNow, sends: record.sends + 1 }),
    ...migrated,
  })
}

/** Row 5. */
export function confirmed(record: EntryRecord, by: 'reply' | 'settle' | 'user', kept?: string): EntryRecord {
  return changed(record, {
    ...ended,
    state: 'confirmed',
    mayHaveRun: true,
    outcome: { by, kept } as EntryRecord['outcome'],
  })
}

/** Row 6. What was refused has not run, unless it did so before. */
export function failed(
  record: EntryRecord,
  before: EntryRecord,
  by: 'reply' | 'user',
  error: FailedOutcome,
): EntryRecord {
  return changed(record, {
    ...ended,
    state: 'failed',
    mayHaveRun: ranBefore(before),
    outcome: { by, error },
  })
}

/**
 * Row 7: what the claim has said is taken back, but for what was so before.
 *
 * @param isCounted - something is wrong here that may be so for ever: it counts as a send.
 */
export function unsent(record: EntryRecord, before: EntryRecord, nextAt: number, isCounted: boolean): EntryRecord {
  return changed(record, {
    state: 'queued',
    nextAt,
    mayHaveRun: ranBefore(before),
    sentFence: before.sentFence,
    keyAt: before.keyAt,
    sends: isCounted ? record.sends : before.sends,
  })
}

/** Row 8: of a send, or of a question that told nothing. */
export function unclear(record: EntryRecord, nextAt: number, asks = record.asks): EntryRecord {
  return changed(record, { state: 'queued', mayHaveRun: true, nextAt, asks })
}

/** The end of row 10: it has not run, and the key is as new. */
export function absent(record: EntryRecord): EntryRecord {
  return changed(record, { state: 'queued', mayHaveRun: false, keyAt: undefined, asks: 0 })
}

/** Row 9. */
export function pending(record: EntryRecord, reason: PendingReason, before?: EntryRecord): EntryRecord {
  // What was not sent this time is as it was before the claim.
  const unsent = before && { mayHaveRun: ranBefore(before), sentFence: before.sentFence }
  return changed(record, { state: 'pending', reason, nextAt: undefined, ...unsent })
}

/** Due at once; a person, a login or a release begins the count anew. */
export function due(record: EntryRecord): EntryRecord {
  const isWaiting = record.state === 'pending'
  return changed(record, {
    state: 'queued',
    nextAt: undefined,
    reason: undefined,
    ...(isWaiting && { sends: 0, asks: 0 }),
  })
}

/** Whoever is about to claim it finds another text. */
export function fenced(record: EntryRecord, fence: number): EntryRecord {
  return changed(record, { fence: Math.max(record.fence, fence) })
}
