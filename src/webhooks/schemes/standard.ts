import { refusal } from '../../core/errors/refusal.ts'
import { checkOptions, notNegative, type RulesOf, takes } from '../../core/options.ts'
import { checkTimestamp, type Delivery, headerOf, refused, type Verified, type WebhookScheme } from '../scheme.ts'
import {
  ed25519Key,
  fromBase64,
  hmacKey,
  isSignedBy,
  joined,
  KeyRing,
  type Secrets,
  type VerifyingKey,
} from '../signature.ts'

/** How deliveries of Standard Webhooks are verified. */
export interface StandardWebhooksOptions {
  /** `whsec_…` (HMAC) or `whpk_…` (the sender's public key, Ed25519), base64; several while they are rotated. */
  readonly secrets: Secrets
  /** How far the signed time may lie before and behind now; ms. @defaultValue 300_000 (5 minutes) */
  readonly toleranceMs?: number | undefined
}

/** What `secrets` takes, for all schemes. */
export const secretsRule = /* @__PURE__ */ takes(
  'a secret, an array of them, or a function',
  (value) => typeof value === 'string' || Array.isArray(value) || typeof value === 'function',
)
const rules: RulesOf<StandardWebhooksOptions> = { secrets: secretsRule, toleranceMs: notNegative }
const name = 'Standard Webhooks'
type Key = VerifyingKey & { readonly version: 'v1' | 'v1a' }

/**
 * The scheme of Standard Webhooks, which Svix and many others speak: `id.timestamp.body` signed, several signatures in
 * `webhook-signature` while keys are rotated, `v1` by HMAC-SHA256 and `v1a` by Ed25519.
 *
 * @throws {CallError} `invalid_argument` when an option is wrong.
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 * @example
 * webhookReceiver({ scheme: standardWebhooks({ secrets: 'whsec_…' }), store, events, handle })
 */
export function standardWebhooks(options: StandardWebhooksOptions): WebhookScheme {
  checkOptions('standardWebhooks()', options, rules)
  const { secrets, toleranceMs = 300_000 } = options
  const ring = new KeyRing(name, secrets, keyOf)
  return {
    name,
    verify: (delivery) => verify(delivery, ring, toleranceMs),
    read: (payload) => {
      const { type, data = payload } = payload as { type?: unknown; data?: unknown }
      return { type, data }
    },
  }
}

async function verify(delivery: Delivery, ring: KeyRing<Key>, toleranceMs: number): Promise<Verified> {
  const id = headerOf(delivery, name, 'webhook-id', 'svix-id')
  const seconds = headerOf(delivery, name, 'webhook-timestamp', 'svix-timestamp')
  const given = headerOf(delivery, name, 'webhook-signature', 'svix-signature')
  const sentAt = checkTimestamp(seconds, delivery, toleranceMs, name)
  const signed = joined(id, '.', seconds, '.', delivery.body)
  const signatures = given.split(/\s+/).map((each) => {
    const [version, text = ''] = each.split(/,(.*)/)
    return { version, bytes: fromBase64(text) }
  })
  for (const key of await ring.keys()) {
    const own = signatures.flatMap(({ version, bytes }) => (version === key.version && bytes ? [bytes] : []))
    if (await isSignedBy([key], own, signed)) return { id, sentAt }
  }
  throw refused(
    'signature_mismatch',
    name,
    'no signature is that of a secret: check the secret, and that the bytes are untouched',
  )
}

async function keyOf(secret: string): Promise<Key> {
  const isPublic = secret.startsWith('whpk_')
  const bytes = fromBase64(secret.replace(/^wh(?:sec|pk)_/, ''))
  if (!bytes) throw refusal(`${name}: a secret is no base64 behind whsec_ or whpk_`, undefined)
  const key = await (isPublic ? ed25519Key(bytes) : hmacKey(bytes, 'SHA-256'))
  return { ...key, version: isPublic ? 'v1a' : 'v1' }
}
