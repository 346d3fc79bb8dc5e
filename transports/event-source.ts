/// <reference lib="esnext.disposable" preserve="true" />
import type { Client, ClientOptions } from '../src/client.ts'
import { type FaceHost, hostOf } from '../src/core/call/face-host.ts'
import { createClient } from '../src/create-client.ts'
import { StreamEventSource } from './event-source/event-source.ts'
import { checkClass } from './event-source/options.ts'
import { type Caller, EventSourceStreams, isListed } from './event-source/streams.ts'
import type {
  EventSourceConstructor,
  EventSourceDefaults,
  EventSourceInit,
  EventSourceOptions,
  EventSource as Instance,
} from './event-source/types.ts'
import { pick } from './shared/option-rules.ts'

export type {
  EventSourceAuth,
  EventSourceConstructor,
  EventSourceDefaults,
  EventSourceErrorEvent,
  EventSourceInit,
  EventSourceInput,
  EventSourceMessage,
  EventSourceOptions,
} from './event-source/types.ts'
export type { HttpOptions } from './http/contract.ts'

/** An event stream with the face of the platform's EventSource. */
export type EventSource = Instance

function classOf(streams: EventSourceStreams): EventSourceConstructor {
  class EventSource extends StreamEventSource {
    constructor(url: string | { readonly href: string }, init: EventSourceInit = {}) {
      super(url, init, streams)
    }
  }
  return EventSource as unknown as EventSourceConstructor
}

/**
 * The platform's EventSource with Polywire's policies: backoff with jitter, Retry-After, dead connections found, refreshed
 * credentials, `headers` and POST. All streams of this class share one client.
 *
 * Transient statuses (408, 425, 429, 500, 502 to 504) are waited out, which the standard does not do.
 *
 * @example
 * const source = new EventSource('https://api.example.com/events', { auth: bearerAuth(() => session.token) })
 * source.addEventListener('placed', ({ data }) => console.log(JSON.parse(data)))
 * source.onerror = ({ error }) => console.log(source.readyState === EventSource.CLOSED ? 'over' : 'back soon', error.code)
 */
export const EventSource: EventSourceConstructor = /* @__PURE__ */ createEventSource()

/**
 * Makes a class for libraries that call `new EventSource(url)`: over a client, whose chain, credentials and budgets it
 * takes, or with a client of its own.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong, or `auth` has no `origin`.
 * @example
 * const EventSource = createEventSource(client)
 * @example
 * const EventSource = createEventSource({ origin: 'https://api.example.com', auth: bearerAuth(() => session.token) })
 */
export function createEventSource(client: Client<any>, options?: EventSourceDefaults): EventSourceConstructor
export function createEventSource(options?: EventSourceOptions): EventSourceConstructor
export function createEventSource(first: Client<any> | EventSourceOptions = {}, options = {}): EventSourceConstructor {
  const host = hostOf(first)
  if (!host) return classOf(ownStreams(first as EventSourceOptions))
  checkClass(options, true)
  const authOf = (origin: string) => host.authOf(origin)
  return classOf(new EventSourceStreams({ client: first as Caller, host, defaults: options, authOf }))
}

/** Streams of a client that nobody else has. */
function ownStreams(options: EventSourceOptions): EventSourceStreams {
  checkClass(options, false)
  const { auth, origin, interceptors, telemetry, clock, dedupe, hedge, breaker, limiter, ...defaults } = options
  const own = pick(options, ['interceptors', 'telemetry', 'clock', 'dedupe', 'hedge', 'breaker', 'limiter'])
  const client = createClient({ transports: {}, ...(own as Pick<ClientOptions<never>, keyof typeof own>) })
  const authOf = (asked: string) => (auth && isListed(asked, origin) ? auth : undefined)
  return new EventSourceStreams({
    client: client as Caller,
    host: hostOf(client) as FaceHost,
    defaults,
    authOf,
  })
}
