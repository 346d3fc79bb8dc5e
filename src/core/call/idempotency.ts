/**
 * How an API takes idempotency keys. Naming one says that the server honours it: keys are generated, and calls that
 * carry one are sent again. `false`: no keys at all.
 *
 * `idempotency-key`: the header, bare. `structured`: the same as the draft writes it, a quoted string.
 * `stripe`: bare, 24 h. `paypal`: `PayPal-Request-Id`. `aws`: the body's `clientToken`. `google`: `request_id` (AIP-155).
 */
export type IdempotencyOption = 'idempotency-key' | 'structured' | 'stripe' | 'paypal' | 'aws' | 'google' | false

/** Where a key goes and how long it lives. */
export interface IdempotencyProfile {
  readonly place: 'header' | 'body'
  readonly name: string
  readonly isQuoted?: boolean
  /** A key older than this is not sent again: the server may have forgotten it. */
  readonly maxAgeMs?: number
}

const day = 86_400_000

/** The profiles behind the names. */
export const idempotencyProfiles: Readonly<Record<Exclude<IdempotencyOption, false>, IdempotencyProfile>> = {
  'idempotency-key': { place: 'header', name: 'idempotency-key' },
  structured: { place: 'header', name: 'idempotency-key', isQuoted: true },
  stripe: { place: 'header', name: 'idempotency-key', maxAgeMs: day },
  paypal: { place: 'header', name: 'paypal-request-id' },
  aws: { place: 'body', name: 'clientToken' },
  google: { place: 'body', name: 'request_id' },
}

/** The profile of a call's key, where there is one and it stands among no headers. */
export function bodyProfileOf(
  call: {
    readonly idempotencyKey?: string | undefined
    readonly operation: { readonly idempotency?: IdempotencyOption | undefined }
  },
  ofTransport: IdempotencyOption | undefined,
): IdempotencyProfile | undefined {
  const named = call.idempotencyKey !== undefined && (call.operation.idempotency ?? ofTransport)
  const profile = named ? idempotencyProfiles[named] : undefined
  return profile?.place === 'body' ? profile : undefined
}
