import { checkOptions, notNegative, type RulesOf } from '../../core/options.ts'
import { checkTimestamp, type Delivery, headerOf, refused, type Verified, type WebhookScheme } from '../scheme.ts'
import {
  bytesOf,
  fromHex,
  hmacKey,
  isSignedBy,
  joined,
  KeyRing,
  type Secrets,
  type VerifyingKey,
} from '../signature.ts'
import { secretsRule } from './standard.ts'

/** How Stripe's deliveries are verified. */
export interface StripeWebhooksOptions {
  /** The endpoint's secret, `whsec_…`; several while they are rotated. */
  readonly secrets: Secrets
  /** How far the signed time may lie before and behind now; ms. @defaultValue 300_000 (5 minutes) */
  readonly toleranceMs?: number | undefined
}

const rules: RulesOf<StripeWebhooksOptions> = { secrets: secretsRule, toleranceMs: notNegative }
const name = 'Stripe'

/**
 * Stripe's scheme: `Stripe-Signature: t=…,v1=…`, over `t.body`. The id and the type stand in the payload, the data in
 * its `data.object`.
 *
 * @throws {CallError} `invalid_argument` when an option is wrong.
 * @see https://docs.stripe.com/webhooks#verify-manually
 * @example
 * webhookReceiver({ scheme: stripeWebhooks({ secrets: 'whsec_…' }), store, events, handle })
 */
export function stripeWebhooks(options: StripeWebhooksOptions): WebhookScheme {
  checkOptions('stripeWebhooks()', options, rules)
  const { secrets, toleranceMs = 300_000 } = options
  const ring = new KeyRing(name, secrets, (secret) => hmacKey(bytesOf(secret), 'SHA-256'))
  return {
    name,
    verify: (delivery) => verify(delivery, ring, toleranceMs),
    read: (payload) => {
      const { id, type, data } = payload as { id?: unknown; type?: unknown; data?: { object?: unknown } }
      return { id, type, data: data?.object }
    },
  }
}

async function verify(delivery: Delivery, ring: KeyRing<VerifyingKey>, toleranceMs: number): Promise<Verified> {
  const parts = headerOf(delivery, name, 'stripe-signature').split(',')
  const valuesOf = (key: string): string[] =>
    parts.flatMap((part) => (part.trim().startsWith(`${key}=`) ? [part.trim().slice(key.length + 1)] : []))
  const [seconds] = valuesOf('t')
  if (seconds === undefined) throw refused('malformed_header', name, 'stripe-signature has no t=')
  const sentAt = checkTimestamp(seconds, delivery, toleranceMs, name)
  const signatures = valuesOf('v1').flatMap((hex) => fromHex(hex) ?? [])
  if (!(await isSignedBy(await ring.keys(), signatures, joined(seconds, '.', delivery.body))))
    throw refused(
      'signature_mismatch',
      name,
      'no v1 signature is that of a secret: check the secret of this endpoint, and that the bytes are untouched',
    )
  return { sentAt }
}
