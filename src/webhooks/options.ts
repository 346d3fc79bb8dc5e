import type { CallError } from '../core/errors/error.ts'
import { refusal } from '../core/errors/refusal.ts'
import {
  aboveZero,
  callable,
  checkOptions,
  count,
  has,
  object,
  oneOf,
  type RulesOf,
  takes,
  text,
} from '../core/options.ts'
import type { Store } from '../core/store/store.ts'
import type { BackoffOptions } from '../core/time/backoff.ts'
import type { Clock } from '../core/time/clock.ts'
import type { EventOf, Webhooks } from './event.ts'
import type { WebhookScheme } from './scheme.ts'

/** What a receiver tells of its work; nothing of it holds a secret, a signature or a payload. */
export type WebhookNotice =
  | { readonly type: 'received' | 'duplicate' | 'skipped' | 'handled'; readonly id: string; readonly event: string }
  | { readonly type: 'retried' | 'failed'; readonly id: string; readonly event: string; readonly error?: CallError }
  | { readonly type: 'refused'; readonly error: CallError }

/** What a receiver takes. */
export interface WebhookReceiverOptions<Events extends Webhooks> {
  /** Who sends, and how it is verified: `standardWebhooks()`, `stripeWebhooks()`, `githubWebhooks()`, `hmacWebhooks()`. */
  readonly scheme: WebhookScheme
  /** Where events are written down before they are answered. It has to be atomic; shared, where several processes receive; durable, where none may be lost with a process. */
  readonly store: Store
  /** What is expected, by any name; a delivery of any other type is answered and dropped, with a notice `skipped`. */
  readonly events: Events
  /** Runs once for each event, whoever receives it; what it throws, at once or later, is a failure. */
  readonly handle: (event: EventOf<Events>) => unknown
  /** Tells receivers apart that share a store: one name for each endpoint. @defaultValue 'default' */
  readonly name?: string | undefined
  /** When the sender gets its 2xx: once the event is written down, or once it is handled. @defaultValue 'written' */
  readonly answerAfter?: 'written' | 'handled' | undefined
  /** With `answerAfter: 'handled'`: a handler that takes longer is answered 202 and goes on; ms. @defaultValue 8_000 */
  readonly answerWithinMs?: number | undefined
  /** Runs of the handler before an event counts as failed, the first included. @defaultValue 3 */
  readonly maxAttempts?: number | undefined
  /** The waits between these runs. @defaultValue full jitter, the first up to 1 s, 30 s at most */
  readonly backoff?: BackoffOptions | undefined
  /** How long an event is remembered: longer than its sender goes on to deliver it; ms. @defaultValue 604_800_000 (7 days) */
  readonly keepMs?: number | undefined
  /** After so long a process that handles an event and says nothing is taken for dead; ms. @defaultValue 60_000 */
  readonly leaseMs?: number | undefined
  /** Larger bodies are refused; bytes. @defaultValue 1_048_576 (1 MiB) */
  readonly maxBodyBytes?: number | undefined
  /** Told what becomes of each delivery: for logs and metrics. */
  readonly onEvent?: ((notice: WebhookNotice) => unknown) | undefined
  /** Time and chance; a virtual clock in tests. */
  readonly clock?: Clock | undefined
}

const rules: RulesOf<WebhookReceiverOptions<Webhooks>> = {
  scheme: takes('a scheme such as standardWebhooks({ secrets })', has('verify')),
  store: takes('a Store', has('compareAndSet')),
  events: object('definitions of webhook() by any name'),
  handle: callable,
  name: text,
  answerAfter: oneOf('written', 'handled'),
  answerWithinMs: aboveZero,
  maxAttempts: count,
  backoff: object('an object of Backoff options'),
  keepMs: aboveZero,
  leaseMs: aboveZero,
  maxBodyBytes: aboveZero,
  onEvent: callable,
  clock: takes('a clock', has('now')),
}

/** @throws {CallError} `invalid_argument` when an option is missing or wrong, or two definitions have one type. */
export function checkReceiver(options: WebhookReceiverOptions<any>): void {
  checkOptions('webhookReceiver()', options, rules)
  for (const name of ['scheme', 'store', 'events', 'handle'] as const)
    if (options[name] === undefined) throw refusal(`webhookReceiver(): ${name} is missing`, undefined)
  if (!options.store.traits?.isAtomic)
    throw refusal('webhookReceiver(): the store is not atomic, so that one event would be handled twice', undefined)
  const types = Object.values(options.events as Webhooks).map(({ type }) => type)
  const twice = types.find((type, at) => typeof type !== 'string' || types.indexOf(type) !== at)
  if (twice !== undefined || types.includes(undefined as never))
    throw refusal(`webhookReceiver(): events takes definitions of webhook(), each type once: see '${twice}'`, undefined)
}
