export type { HeaderRecord } from '../core/call/header-map.ts'
export type { FetchContext } from './adapters.ts'
export {
  type EventOf,
  openapiWebhooks,
  type Webhook,
  type WebhookEvent,
  type WebhookOptions,
  type Webhooks,
  webhook,
} from './event.ts'
export type { WebhookLogEntry, WebhookState } from './event-log.ts'
export type { WebhookNotice, WebhookReceiverOptions } from './options.ts'
export type { WebhookAnswer, WebhookRequest } from './receiver.ts'
export { type RunCallbacks, type RunCallbacksOptions, runCallbacks } from './run-callbacks.ts'
export type { Delivery, PayloadFacts, Verified, WebhookRefusal, WebhookScheme } from './scheme.ts'
export { type GithubWebhooksOptions, githubWebhooks } from './schemes/github.ts'
export { type HmacWebhooksOptions, hmacWebhooks } from './schemes/hmac.ts'
export { type StandardWebhooksOptions, standardWebhooks } from './schemes/standard.ts'
export { type StripeWebhooksOptions, stripeWebhooks } from './schemes/stripe.ts'
export type { Secrets } from './signature.ts'
export { type WebhookFilter, type WebhookReceiver, webhookReceiver } from './webhook-receiver.ts'
