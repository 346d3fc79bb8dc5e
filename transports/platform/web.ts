import type { AsyncContext } from '../../src/core/call/token-run.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { EngineOptions, HttpEngine } from '../http/contract.ts'
import { FetchEngine } from '../http/engine/fetch/engine.ts'
import { FetchResponder } from '../http/engine/fetch/responder.ts'
import { explainByText } from '../http/fault.ts'
import { followRedirect } from '../http/redirect.ts'
import type { CreateResponder } from '../http/responder.ts'

/** `#platform` outside of Node and browsers: no library but what the platform brings. */
export const name = 'web'

/** How errors of the wire read here. */
export const explainFault = explainByText

/** What takes event streams apart. */
export { EventParsers } from '../http/event-stream/by-hand.ts'
/** How HTTP/2 says that the server has given a request up. */
export { isPeerCancel } from '../http/fault.ts'
/** How redirects are followed that fetch leaves to us. */
export { followRedirect } from '../http/redirect.ts'
/** Streams and forms as bodies. */
export { bodies } from '../http/stream-body.ts'
/** What `response: 'stream'` stands for. */
export { byteStream } from '../rest/byte-stream.ts'
/** The user's class of sockets, or the global one. */
export { plainSocketDriver as selectSocketDriver } from '../socket/driver/web.ts'

/** @throws {CallError} failed_precondition, since undici runs in Node only. */
export function createHttpEngine(_options: EngineOptions = {}): HttpEngine {
  throw new CallError({
    code: 'failed_precondition',
    message: 'undici runs in Node only: leave out `dispatcher` and `http`',
  })
}

/** The engine that nobody chose: the platform's own `fetch`. */
export function createAutoEngine(): HttpEngine {
  return new FetchEngine(undefined, explainFault, followRedirect)
}

/** The platform's own `fetch`, or the user's. */
export const createResponder: CreateResponder = ({ http }) =>
  new FetchResponder(typeof http === 'function' ? http : undefined, createAsyncContext, explainFault, followRedirect)

/** No socket here can be told to read no further. */
export const SocketPressure: typeof import('../socket/session/channel-queue.ts').SocketPressure | undefined = undefined

/** Repeats `attempt` while `shouldRetry` says so; waits and limits are the caller's. */
export async function retryLoop<T>(
  attempt: () => Promise<T>,
  shouldRetry: (error: unknown) => boolean | Promise<boolean>,
): Promise<T> {
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (!(await shouldRetry(error))) throw error
    }
  }
}

type Builtins = { getBuiltinModule?(name: string): { AsyncLocalStorage?: new () => AsyncContext<never> } | undefined }

function findAsyncContext(): (<T>() => AsyncContext<T>) | undefined {
  const { process } = globalThis as { process?: Builtins }
  const AsyncLocalStorage = process?.getBuiltinModule?.('node:async_hooks')?.AsyncLocalStorage
  return AsyncLocalStorage && (() => new AsyncLocalStorage())
}

/** Follows a piece of work through everything that it awaits; Bun, Deno and workerd may have Node's. */
export const createAsyncContext: (<T>() => AsyncContext<T>) | undefined = /* @__PURE__ */ findAsyncContext()
