import { systemClock } from '../core/time/clock.ts'
import {
  contextOf,
  type FastifyLike,
  type FetchContext,
  type FetchRequestLike,
  type HonoContextLike,
  mountFastify,
  type NodeRequestLike,
  type NodeResponseLike,
  type PlatformResponse,
  receiveFetch,
  receiveNode,
} from './adapters.ts'
import type { Webhooks } from './event.ts'
import { EventLog, type WebhookLogEntry, type WebhookState } from './event-log.ts'
import { checkReceiver, type WebhookReceiverOptions } from './options.ts'
import { Receiver, type WebhookAnswer, type WebhookRequest } from './receiver.ts'

/** Which events are meant. */
export interface WebhookFilter {
  readonly id?: string | undefined
  readonly state?: WebhookState | undefined
  readonly type?: string | undefined
  /** Received at this time or later. */
  readonly since?: Date | undefined
}

/** What {@link webhookReceiver} gives: one handler for each kind of server, and the log of what came. */
export interface WebhookReceiver {
  /** For servers of WHATWG Requests: Next.js, Deno, Bun, workers (pass their context, so that they stay alive). */
  readonly fetch: (request: FetchRequestLike, context?: FetchContext) => Promise<PlatformResponse>
  /** For node:http and Express: `app.post('/hooks', receiver.node)`, before any parser of bodies. */
  readonly node: (request: NodeRequestLike, response: NodeResponseLike) => Promise<void>
  /** A plugin of Fastify: `app.register(receiver.fastify, { path: '/hooks' })`. */
  readonly fastify: (app: FastifyLike, options: { readonly path?: string }) => Promise<void>
  /** For Hono: `app.post('/hooks', receiver.hono)`. */
  readonly hono: (context: HonoContextLike) => Promise<PlatformResponse>
  /** For any other server: headers and bytes in, status, headers and body out; never rejects. */
  receive(request: WebhookRequest, keepAlive?: (work: Promise<unknown>) => void): Promise<WebhookAnswer>
  /** Handles what was received by a process that died before its end: call it once at the start. How many there were. */
  recover(): Promise<number>
  /** Runs the handler again, for all events of the log that are meant, whatever became of them. How many there were. */
  replay(filter: WebhookFilter): Promise<number>
  /** The log, without payloads. */
  entries(filter?: WebhookFilter): Promise<readonly WebhookLogEntry[]>
  /** Waits for the handlers that run: before a process ends. */
  idle(): Promise<void>
}

/**
 * Receives webhooks: verifies the bytes, writes the event down, answers 2xx, and runs the handler, once for each event
 * however often and wherever it is delivered.
 *
 * An event that fails in all its attempts stays in the log, `replay` runs it again, and a further delivery is another
 * try. Nothing of a payload or a secret stands in an answer or a notice.
 *
 * @throws {CallError} `invalid_argument` when an option is missing or wrong, or the store is not atomic.
 * @example
 * const shipped = webhook('order.shipped', type<Shipment>())
 * const receiver = webhookReceiver({
 *   scheme: standardWebhooks({ secrets: process.env.WEBHOOK_SECRET }),
 *   store: redisStore(redis),
 *   events: { shipped },
 *   handle: async (event) => await orders.markShipped(event.data),
 * })
 * export const POST = receiver.fetch
 */
export function webhookReceiver<const Events extends Webhooks>(
  options: WebhookReceiverOptions<Events>,
): WebhookReceiver {
  checkReceiver(options)
  const { store, name = 'default', keepMs = 604_800_000, leaseMs = 60_000, maxBodyBytes = 1_048_576 } = options
  const { scheme, clock = systemClock } = options
  const log = new EventLog({ store, clock, name: encodeURIComponent(name), keepMs, leaseMs })
  const receiver = new Receiver({ options, scheme, log, clock })
  return {
    fetch: (request, context) => receiveFetch(receiver, maxBodyBytes, request, context),
    node: (request, response) => receiveNode(receiver, maxBodyBytes, request, response),
    fastify: async (app, { path = '/' }) => mountFastify(receiver, maxBodyBytes, app, path),
    hono: (context) => receiveFetch(receiver, maxBodyBytes, context.req.raw, contextOf(context)),
    receive: (request, keepAlive) => receiver.receive(request, keepAlive),
    recover: () => receiver.recover(),
    replay: (filter) => receiver.replay((record) => isMeant(filter, record, record.at), filter.id),
    entries: async (filter = {}) => {
      const all = await receiver.entries()
      return all.filter((entry) => isMeant(filter, entry, entry.receivedAt.getTime()))
    },
    idle: () => receiver.idle(),
  }
}

function isMeant(
  { id, state, type, since }: WebhookFilter,
  entry: { readonly id: string; readonly state: WebhookState; readonly type: string },
  at: number,
): boolean {
  return (
    (id ?? entry.id) === entry.id &&
    (state ?? entry.state) === entry.state &&
    (type ?? entry.type) === entry.type &&
    at >= (since?.getTime() ?? 0)
  )
}
