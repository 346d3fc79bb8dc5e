import { checkOptions, type RulesOf } from '../../core/options.ts'
import { headerOf, refused, type WebhookScheme } from '../scheme.ts'
import { bytesOf, fromHex, hmacKey, isSignedBy, KeyRing, type Secrets } from '../signature.ts'
import { secretsRule } from './standard.ts'

/** How GitHub's deliveries are verified. */
export interface GithubWebhooksOptions {
  /** The webhook's secret; several while they are rotated. */
  readonly secrets: Secrets
}

const rules: RulesOf<GithubWebhooksOptions> = { secrets: secretsRule }
const name = 'GitHub'

/**
 * GitHub's scheme: `X-Hub-Signature-256` over the body alone, without a time, so that only the id of the delivery keeps
 * an old one from being played again: the Store remembers it. The id itself is not signed: TLS keeps it. The type is that of `X-GitHub-Event`, with the payload's
 * `action` where it has one (`issues.opened`); the data is the payload.
 *
 * @throws {CallError} `invalid_argument` when an option is wrong.
 * @see https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
 * @example
 * webhookReceiver({ scheme: githubWebhooks({ secrets: process.env.SECRET }), store, events, handle })
 */
export function githubWebhooks(options: GithubWebhooksOptions): WebhookScheme {
  checkOptions('githubWebhooks()', options, rules)
  const ring = new KeyRing(name, options.secrets, (secret) => hmacKey(bytesOf(secret), 'SHA-256'))
  return {
    name,
    async verify(delivery) {
      const given = headerOf(delivery, name, 'x-hub-signature-256')
      const id = headerOf(delivery, name, 'x-github-delivery')
      const type = headerOf(delivery, name, 'x-github-event')
      const signature = given.startsWith('sha256=') ? fromHex(given.slice(7)) : undefined
      if (!signature) throw refused('malformed_header', name, 'x-hub-signature-256 is no sha256= and hex digits')
      if (!(await isSignedBy(await ring.keys(), [signature], Uint8Array.from(delivery.body))))
        throw refused(
          'signature_mismatch',
          name,
          'the signature is that of no secret: check the secret, and that the bytes are untouched',
        )
      return { id, type }
    },
    read: (payload) => ({ action: (payload as { action?: unknown }).action, data: payload }),
  }
}
