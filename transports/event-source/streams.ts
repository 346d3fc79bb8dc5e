import type { Auth } from '../../src/core/call/auth.ts'
import type { CallOptions } from '../../src/core/call/call-options.ts'
import type { NoInput, ServerStream, Stream } from '../../src/core/call/call-types.ts'
import type { FaceHost } from '../../src/core/call/face-host.ts'
import { defineOperation, type Operation, type OperationInfo } from '../../src/core/call/operation.ts'
import { receiving } from '../../src/core/stream/streaming.ts'
import type { RequestParts } from '../http/input.ts'
import { page } from '../shared/base-url.ts'
import { declare, isDeclaration, pick } from '../shared/option-rules.ts'
import { nameOfPath } from '../shared/path-name.ts'
import { streamHints } from '../sse/hints.ts'
import type { SseBinding } from '../sse/operation.ts'
import { HttpSseTransport } from '../sse/transport.ts'
import { type EventFeed, feeding } from './feed.ts'
import type { EventSourceDefaults, EventSourceInit, EventSourceInput } from './types.ts'

/** The part of a client that its streams use. */
export interface Caller {
  call(
    operation: Operation<string, ServerStream<NoInput, unknown>>,
    input: NoInput,
    options: CallOptions,
  ): Stream<unknown>
}

/** Whose streams the streams of a class are. */
export interface StreamsOptions {
  readonly client: Caller
  readonly host: FaceHost
  readonly defaults: EventSourceDefaults
  /** Who calls an origin. */
  readonly authOf: (origin: string) => Auth | undefined
}

/** What a stream may say that other streams of its origin do not: then it has a transport of its own. */
const own = ['http', 'dispatcher', 'auth', 'idleTimeoutMs', 'maxEventBytes'] as const

interface Route {
  readonly via: string
  users: number
}

/** Opens the streams of one class: one transport for each origin and way of cookies, for as long as somebody uses it. */
export class EventSourceStreams {
  readonly #options: StreamsOptions
  readonly #shared = new Map<string, Route>()

  constructor(options: StreamsOptions) {
    this.#options = options
  }

  /** Where a stream does not say it. */
  get isWithCredentials(): boolean {
    return this.#options.defaults.withCredentials === true
  }

  /**
   * A stream that is opened when it is first used.
   *
   * @returns it, and what lets go of its transport.
   * @throws {CallError} `invalid_argument` where nothing can be sent to the URL.
   */
  open(url: URL, init: EventSourceInit, reader: EventFeed): [stream: Stream<unknown>, release: () => void] {
    const { client, defaults } = this.#options
    const route = this.#route(url.origin, init)
    const all: EventSourceInit = { ...defaults, ...init }
    const { method = 'GET', body, lastEventId, retry } = all
    const opening = all.opening ?? (retry === undefined ? { maxAttempts: Number.POSITIVE_INFINITY } : undefined)
    // The URL is for who continues the stream, or stops it.
    const input: RequestParts & EventSourceInput = { params: {}, query: {}, headers: undefined, body, url: url.href }
    const stream = client.call(operationOf(route.via, all), input as NoInput, {
      ...pick(all, ['timeoutMs']),
      opening,
      retry,
      // Those of the class are the transport's.
      headers: init.headers,
      cursor: lastEventId || undefined,
    })
    return [stream, () => this.#release(route)]

    function operationOf(via: string, { resume = method === 'GET' }: EventSourceInit) {
      const isContinued = isDeclaration(resume)
      const { marks } = reader
      const binding: SseBinding = {
        method,
        reopenMethod: resume === 'get' ? 'GET' : method,
        template: { hasQuery: url.search !== '', fill: () => url.pathname + url.search },
        reader,
        Exchange: feeding(reader, !isContinued),
        isRawBody: typeof body === 'string',
      }
      const info: OperationInfo = {
        name: `${method} ${nameOfPath(url.pathname)}`,
        protocol: 'sse',
        via,
        transportName: 'EventSource',
        kind: 'server_stream',
        origin: url.origin,
        isIdempotent: method === 'GET',
        isResumable: isContinued ? method === 'GET' : resume !== false,
        gaps: 'yield',
        binding,
        streaming: receiving,
        // What is continued tells repeats by its cursors, and is marked by who continues it.
        ...(isContinued && { marks: { opened: () => marks.opened(url.href), dropped: marks.dropped } }),
      }
      return defineOperation<Operation<string, ServerStream<NoInput, unknown>>>(declare(info, all))
    }
  }

  #route(origin: string, init: EventSourceInit): Route {
    const { defaults, host, authOf } = this.#options
    const { withCredentials = this.isWithCredentials } = init
    const isOwn = own.some((name) => init[name] !== undefined)
    const key = `${origin} ${withCredentials}`
    let route = isOwn ? undefined : this.#shared.get(key)
    if (!route) {
      route = { via: `event-source-${++count}`, users: 0 }
      const transport = new HttpSseTransport({
        ...pick({ ...defaults, ...init }, ['http', 'dispatcher', 'idleTimeoutMs', 'maxEventBytes']),
        ...pick(defaults, ['headers']),
        baseUrl: origin,
        auth: (init.origin && !isListed(origin, init.origin) ? undefined : init.auth) ?? authOf(origin) ?? false,
        credentials: withCredentials ? 'include' : 'same-origin',
        hints: streamHints(),
      })
      host.addFace(route.via, transport)
      if (!isOwn) this.#shared.set(key, route)
    }
    route.users++
    return route
  }

  #release(route: Route): void {
    if (--route.users > 0) return
    for (const [key, each] of this.#shared) if (each === route) this.#shared.delete(key)
    this.#options.host.removeFace(route.via).catch(noop)
  }
}

/** Keys of routes are never used again. */
let count = 0

/** Tells whether an origin is among those that credentials go to. */
export function isListed(origin: string, listed: string | readonly string[]): boolean {
  return [listed].flat().some((each) => (each === 'self' ? page()?.origin : new URL(each).origin) === origin)
}

function noop(): void {}
