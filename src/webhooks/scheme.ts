import type { HeaderMap } from '../core/call/header-map.ts'
import { CallError } from '../core/errors/error.ts'

/** One delivery as it came in: bytes, never a text or an object made of them, since a signature is of bytes. */
export interface Delivery {
  readonly headers: HeaderMap
  readonly body: Uint8Array
  /** Now; ms since 1970. */
  readonly wallNow: number
}

/** What the signature vouches for. */
export interface Verified {
  /** The sender's id of the event, the same for each delivery; where it stands in the payload, `read` gives it. */
  readonly id?: string | undefined
  readonly type?: string | undefined
  readonly sentAt?: Date | undefined
}

/** What the payload says of itself. */
export interface PayloadFacts {
  readonly id?: unknown
  readonly type?: unknown
  /** Makes the type finer: GitHub's `opened` of `issues`. An event may be defined as `issues.opened`, or as `issues`. */
  readonly action?: unknown
  readonly data: unknown
}

/** How one kind of sender signs and names what it delivers. */
export interface WebhookScheme {
  readonly name: string
  /** @throws {CallError} `unauthenticated` when no signature holds; `invalid_argument` when a header is missing or malformed. */
  verify(delivery: Delivery): Promise<Verified>
  /** Where the payload has its id, its type and its data. */
  read(payload: unknown): PayloadFacts
}

/** Why a delivery was refused; stands in the error's `reason`. */
export type WebhookRefusal =
  | 'missing_header'
  | 'malformed_header'
  | 'signature_mismatch'
  | 'timestamp_too_old'
  | 'timestamp_in_future'
  | 'malformed_payload'
  | 'missing_id'
  | 'too_large'

const codes: Readonly<Record<WebhookRefusal, 'invalid_argument' | 'unauthenticated' | 'resource_exhausted'>> = {
  missing_header: 'invalid_argument',
  malformed_header: 'invalid_argument',
  malformed_payload: 'invalid_argument',
  missing_id: 'invalid_argument',
  signature_mismatch: 'unauthenticated',
  timestamp_too_old: 'unauthenticated',
  timestamp_in_future: 'unauthenticated',
  too_large: 'resource_exhausted',
}

/** A delivery that is not believed. The message names the header or the rule, never what stood there. */
export function refused(reason: WebhookRefusal, scheme: string, message: string, cause?: unknown): CallError {
  const operation = { name: `webhook ${scheme}`, protocol: 'webhooks', via: 'webhooks' }
  return new CallError({ code: codes[reason], reason, message, cause }, { operation })
}

/** The one value of a header that has to be there. */
export function headerOf({ headers }: Delivery, scheme: string, ...names: readonly string[]): string {
  for (const name of names) {
    const value = headers.get(name)?.trim()
    if (value) return value
  }
  throw refused('missing_header', scheme, `the header ${names[0]} is missing: is this delivery of ${scheme}?`)
}

/** Refuses what was sent too long ago, and what claims to be of the future: neither is a delivery of now. */
export function checkTimestamp(seconds: string, delivery: Delivery, toleranceMs: number, scheme: string): Date {
  if (!/^\d{1,12}$/.test(seconds))
    throw refused('malformed_header', scheme, 'the timestamp is no whole number of seconds since 1970')
  const sentAt = Number(seconds) * 1000
  const age = delivery.wallNow - sentAt
  if (age > toleranceMs)
    throw refused('timestamp_too_old', scheme, `signed more than ${toleranceMs} ms ago: an old delivery, sent again`)
  if (age < -toleranceMs)
    throw refused('timestamp_in_future', scheme, `signed more than ${toleranceMs} ms ahead: is this clock right?`)
  return new Date(sentAt)
}
