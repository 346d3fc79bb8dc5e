import { guard } from '../../core/guard.ts'
import { callable, checkOptions, notNegative, oneOf, type RulesOf, text } from '../../core/options.ts'
import { checkTimestamp, type Delivery, headerOf, type PayloadFacts, refused, type WebhookScheme } from '../scheme.ts'
import { bytesOf, fromBase64, fromHex, hmacKey, isSignedBy, joined, KeyRing, type Secrets } from '../signature.ts'
import { secretsRule } from './standard.ts'

/** How a sender signs that has a scheme of its own. */
export interface HmacWebhooksOptions {
  /** The secret as a text, whose bytes are the key; several while they are rotated. */
  readonly secrets: Secrets
  /** The header that holds the signature. */
  readonly header: string
  /** What stands before the signature: `sha256=`. @defaultValue nothing */
  readonly prefix?: string | undefined
  /** How the signature is written. @defaultValue 'hex' */
  readonly encoding?: 'hex' | 'base64' | undefined
  /** The hash of the HMAC. @defaultValue 'SHA-256' */
  readonly hash?: 'SHA-1' | 'SHA-256' | 'SHA-512' | undefined
  /** The header that holds the time that is signed, seconds since 1970. @defaultValue none: only the id keeps an old delivery from being played again */
  readonly timestampHeader?: string | undefined
  /** How far the signed time may lie before and behind now; ms. @defaultValue 300_000 (5 minutes) */
  readonly toleranceMs?: number | undefined
  /** What is signed, in this order. @defaultValue the body; with `timestampHeader` the time, a dot, and the body */
  readonly signed?:
    | ((parts: {
        readonly body: Uint8Array
        readonly timestamp: string
        readonly header: (name: string) => string
      }) => readonly (string | Uint8Array)[])
    | undefined
  /** The header that holds the event's id. @defaultValue as `read` says */
  readonly idHeader?: string | undefined
  /** The header that holds the event's type. @defaultValue as `read` says */
  readonly typeHeader?: string | undefined
  /** Where the payload has its id, its type and its data. @defaultValue `id`, `type`, and `data` or the whole */
  readonly read?: ((payload: any) => PayloadFacts) | undefined
}

const rules: RulesOf<HmacWebhooksOptions> = {
  secrets: secretsRule,
  header: text,
  prefix: text,
  encoding: /* @__PURE__ */ oneOf('hex', 'base64'),
  hash: /* @__PURE__ */ oneOf('SHA-1', 'SHA-256', 'SHA-512'),
  timestampHeader: text,
  toleranceMs: notNegative,
  signed: callable,
  idHeader: text,
  typeHeader: text,
  read: callable,
}
const plainRead = (payload: { id?: unknown; type?: unknown; data?: unknown }): PayloadFacts => ({
  id: payload.id,
  type: payload.type,
  data: payload.data ?? payload,
})

/**
 * A scheme of a sender that signs by HMAC in a way of its own: Shopify, Slack, Linear, a service of yours.
 *
 * @throws {CallError} `invalid_argument` when an option is wrong.
 * @example
 * const shopify = hmacWebhooks({
 *   secrets, header: 'x-shopify-hmac-sha256', encoding: 'base64',
 *   idHeader: 'x-shopify-event-id', typeHeader: 'x-shopify-topic', read: (order) => ({ data: order }),
 * })
 * const slack = hmacWebhooks({
 *   secrets, header: 'x-slack-signature', prefix: 'v0=', timestampHeader: 'x-slack-request-timestamp',
 *   signed: ({ body, timestamp }) => [`v0:${timestamp}:`, body],
 *   read: ({ event_id, event }) => ({ id: event_id, type: event.type, data: event }),
 * })
 */
export function hmacWebhooks(options: HmacWebhooksOptions): WebhookScheme {
  checkOptions('hmacWebhooks()', options, rules)
  const { header, hash = 'SHA-256', idHeader, typeHeader, read = plainRead } = options
  const name = `HMAC by ${header}`
  const ring = new KeyRing(name, options.secrets, (secret) => hmacKey(bytesOf(secret), hash))
  return {
    name,
    async verify(delivery) {
      const signature = signatureOf(headerOf(delivery, name, header), options)
      if (!signature) throw refused('malformed_header', name, `${header} is no signature in this encoding`)
      const { signed, sentAt } = signedOf(delivery, name, options)
      if (!(await isSignedBy(await ring.keys(), [signature], signed)))
        throw refused(
          'signature_mismatch',
          name,
          'the signature is that of no secret: check the secret, and that the bytes are untouched',
        )
      const id = idHeader && headerOf(delivery, name, idHeader)
      return { id, type: typeHeader && headerOf(delivery, name, typeHeader), sentAt }
    },
    read: (payload) => guard(`read() of ${name}`, () => read(payload as never)),
  }
}

function signatureOf(value: string, { prefix = '', encoding = 'hex' }: HmacWebhooksOptions) {
  if (!value.startsWith(prefix)) return undefined
  return (encoding === 'hex' ? fromHex : fromBase64)(value.slice(prefix.length))
}

function signedOf(delivery: Delivery, name: string, options: HmacWebhooksOptions) {
  const { timestampHeader, toleranceMs = 300_000, signed } = options
  const timestamp = timestampHeader === undefined ? '' : headerOf(delivery, name, timestampHeader)
  const sentAt = timestampHeader === undefined ? undefined : checkTimestamp(timestamp, delivery, toleranceMs, name)
  const { body } = delivery
  if (signed === undefined) return { sentAt, signed: timestamp === '' ? joined(body) : joined(timestamp, '.', body) }
  const header = (each: string): string => headerOf(delivery, name, each)
  return { sentAt, signed: joined(...guard(`signed() of ${name}`, () => signed({ body, timestamp, header }))) }
}
