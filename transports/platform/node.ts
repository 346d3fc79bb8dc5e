import { AsyncLocalStorage } from 'node:async_hooks'
import pRetry from 'p-retry'
import type { AsyncContext } from '../../src/core/call/token-run.ts'
import type { EngineOptions, HttpEngine } from '../http/contract.ts'
import { explainByCode } from '../http/engine/fault-codes.ts'
import { FetchEngine } from '../http/engine/fetch/engine.ts'
import { FetchResponder } from '../http/engine/fetch/responder.ts'
import { EngineResponder } from '../http/engine/responder.ts'
import { UndiciEngine } from '../http/engine/undici/engine.ts'
import { followRedirect } from '../http/redirect.ts'
import type { CreateResponder } from '../http/responder.ts'
import { chooseSocketDriver, type LoadSocketDriver, type SelectSocketDriver } from '../socket/driver/choose.ts'
import type { WebSocketClass } from '../socket/driver/driver.ts'
import { webSocketDriver } from '../socket/driver/web.ts'

/** `#platform` in Node. */
export const name = 'node'

/** How errors of the wire read here. */
export const explainFault = explainByCode

/** What takes event streams apart. */
export { EventParsers } from '../http/event-stream/by-library.ts'
/** How HTTP/2 says that the server has given a request up. */
export { isPeerCancel } from '../http/fault.ts'
/** How redirects are followed that fetch leaves to us. */
export { followRedirect } from '../http/redirect.ts'
/** Streams and forms as bodies. */
export { bodies } from '../http/stream-body.ts'
/** What `response: 'stream'` stands for. */
export { byteStream } from '../rest/byte-stream.ts'
/** Stops reading a socket for a slow reader. */
export { SocketPressure } from '../socket/session/channel-queue.ts'

/** undici's `dispatch`. @throws {CallError} invalid_argument when `dispatcher` is none. */
export function createHttpEngine(options: EngineOptions = {}): HttpEngine {
  return new UndiciEngine(options)
}

/** The engine that nobody chose: undici, or a fetch that was replaced. */
export function createAutoEngine(): HttpEngine {
  return new UndiciEngine({}, new FetchEngine(undefined, explainFault, followRedirect))
}

/** undici, but for what only a fetch can do, and where that was replaced. */
export const createResponder: CreateResponder = ({ http = 'auto', dispatcher }) => {
  const byFetch = new FetchResponder(
    typeof http === 'function' ? http : undefined,
    createAsyncContext,
    explainFault,
    followRedirect,
  )
  if (dispatcher !== undefined || http === 'undici') return new EngineResponder(createHttpEngine({ dispatcher }))
  return http === 'auto' ? new EngineResponder(createAutoEngine(), byFetch) : byFetch
}

/**
 * The socket that Node does best with, loaded when the first one is opened; where a bundle cannot load it (esbuild's ES
 * modules have no `require`), the platform's own, which takes no options.
 */
export const loadSocketDriver: LoadSocketDriver = async (options, like) => {
  try {
    const { nodeSocketDriver } = await import('../socket/driver/ws.ts')
    return nodeSocketDriver(options, like)
  } catch (error) {
    const own = like ?? (globalThis as { WebSocket?: WebSocketClass }).WebSocket
    if (options !== undefined || !own) throw error
    return webSocketDriver(own)
  }
}

/** The user's class, a global one that was replaced, or the best that Node has. */
export const selectSocketDriver: SelectSocketDriver = (webSocket, wsOptions) =>
  chooseSocketDriver({ webSocket, wsOptions, loadNative: loadSocketDriver })

/**
 * Repeats `attempt` while `shouldRetry` says so; p-retry drives the loop, waits and limits are the caller's.
 *
 * p-retry's own delay has no full jitter and cannot follow a Retry-After, so `minTimeout` is 0 and `attempt` sleeps.
 */
export function retryLoop<T>(
  attempt: () => Promise<T>,
  shouldRetry: (error: unknown) => boolean | Promise<boolean>,
): Promise<T> {
  return pRetry(attempt, {
    retries: Number.POSITIVE_INFINITY,
    minTimeout: 0,
    shouldRetry: ({ error }) => shouldRetry(error),
  })
}

/** Follows a piece of work through everything that it awaits. */
export const createAsyncContext: (<T>() => AsyncContext<T>) | undefined = () => new AsyncLocalStorage()
