/// <reference lib="esnext.disposable" preserve="true" />
import { defineEvents } from './sse/operation.ts'
import { HttpSseTransport } from './sse/transport.ts'
import type { EventsBuilder, SseTransport, SseTransportOptions } from './sse/types.ts'

export type {
  AnyContinuation,
  AnyStop,
  Continuable,
  OtherVia,
  PathInput,
  PlaceCheck,
} from '../src/core/resume/continuation.ts'
export type { HttpOptions } from './http/contract.ts'
export type { ServerEvent } from './http/event-stream/event-stream.ts'
export type { InputCheck, RestIn, ViaOf } from './http/input-types.ts'
export type { QueryStyle } from './http/query.ts'
export type { DeadlineHeader } from './shared/deadline-header.ts'
export {
  type DurableIn,
  type DurableStreamBuilder,
  type DurableStreamSpec,
  durableStream,
} from './sse/durable-stream.ts'
export { type StreamHints, streamHints } from './sse/hints.ts'
export { type SharingOptions, type StreamSharing, sharing } from './sse/share.ts'
export type {
  EventItem,
  EventOf,
  EventsBuilder,
  EventsSpec,
  SseTransport,
  SseTransportOptions,
  UndeclaredEvent,
} from './sse/types.ts'

/**
 * Declares an event stream: its path, and what the data of each event is.
 *
 * Items are `{ type, data, id }`; an event without a name is a `message`. A broken GET is opened again after the last
 * event id; a POST only where `resume` says so.
 *
 * @throws {TypeError} where the declaration itself is wrong.
 * @example
 * const watch = events('/orders/{id}/events', { placed: type<Order>(), shipped: type<Shipment>() })
 * for await (const event of client.call(watch, { id: 7 })) if (event.type === 'placed') console.log(event.data.total)
 */
export const events: EventsBuilder = (path, map, spec) => defineEvents(path, map, spec)

/**
 * A transport for server-sent events over HTTP: WHATWG HTML §9.2, over fetch's or undici's HTTP instead of EventSource.
 *
 * It differs from the standard where that loses: 408, 425, 429, 500, 502, 503 and 504 are transient, as for every other
 * call over HTTP, and their Retry-After is honoured.
 *
 * @throws {CallError} `invalid_argument` where `baseUrl` is no URL that can be called, or another option is wrong.
 * @example
 * const client = createClient({ transports: { sse: sseTransport({ baseUrl: 'https://api.example.com/v1' }) } })
 */
export function sseTransport(options: SseTransportOptions): SseTransport {
  return new HttpSseTransport(options)
}
