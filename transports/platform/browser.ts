import type { AsyncContext } from '../../src/core/call/token-run.ts'
import type { HttpEngine } from '../http/contract.ts'
import { FetchEngine } from '../http/engine/fetch/engine.ts'
import { FetchResponder } from '../http/engine/fetch/responder.ts'
import type { FollowRedirect } from '../http/redirect.ts'
import type { CreateResponder } from '../http/responder.ts'

/** How errors of the wire read here. */
export { explainByPhase as explainFault } from '../http/fault.ts'
/** `#platform` in browsers: the web's, without what a page cannot do. */
export { createHttpEngine, EventParsers, name, retryLoop, SocketPressure, selectSocketDriver } from './web.ts'

/** A page is told nothing of the frames of HTTP/2. */
export const isPeerCancel = (_error: unknown): boolean => false

/** Nobody but fetch sees where a redirect leads. */
export const followRedirect: FollowRedirect | undefined = undefined

/** Forms are fetch's own; streams come with `streamBody()`, and multipart with `multipart()`. */
export const bodies: typeof import('../http/stream-body.ts').bodies | undefined = undefined

/** Streamed replies come with `byteStream`. */
export const byteStream: typeof import('../rest/byte-stream.ts').byteStream | undefined = undefined

/** The engine that nobody chose: the platform's own `fetch`. */
export function createAutoEngine(): HttpEngine {
  return new FetchEngine()
}

/** The platform's own `fetch`, or the user's. */
export const createResponder: CreateResponder = ({ http }) =>
  new FetchResponder(typeof http === 'function' ? http : undefined, createAsyncContext)

/** Browsers have no async context yet. */
export const createAsyncContext: (<T>() => AsyncContext<T>) | undefined = undefined
