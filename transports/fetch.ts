import type { ClientOptions } from '../src/client.ts'
import { hostOf } from '../src/core/call/face-host.ts'
import { createClient } from '../src/create-client.ts'
import { makeFace } from './fetch/face.ts'
import type { CreateFetchOptions, FaceOptions, PolywireFetch } from './fetch/types.ts'
import { readUrl } from './shared/base-url.ts'

export { operationOf } from './fetch/operation.ts'
export type {
  CreateFetchOptions,
  FaceOptions,
  FetchRequest,
  FetchRoute,
  OriginPolicy,
  PlatformFetch,
  PolywireFetch,
} from './fetch/types.ts'

/** A client of any transports. */
interface AnyClient {
  bind(contract: never): unknown
  close(): Promise<void>
}

/**
 * A `fetch` with the whole chain: retries, Retry-After, auth with one refresh, deadlines, for every library that takes a
 * fetch. It answers and rejects as the platform's does; the CallError is the `cause` of what it rejects with.
 *
 * @param client - its calls share budget, waits, refreshes and credentials of that client.
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * const fetch = createFetch({ origin: 'https://api.example.com', auth: bearerAuth(() => session.token) })
 * const openai = new OpenAI({ fetch })
 */
export function createFetch(options?: CreateFetchOptions): PolywireFetch
export function createFetch(client: AnyClient, options?: FaceOptions): PolywireFetch
export function createFetch(first: AnyClient | CreateFetchOptions = {}, second: FaceOptions = {}): PolywireFetch {
  const host = hostOf(first)
  if (host) return makeFace(host, second, {}, false)
  const {
    origin,
    auth,
    idempotency,
    routes,
    origins,
    retry,
    timeoutMs,
    interceptors,
    telemetry,
    clock,
    http,
    dispatcher,
    ...face
  } = first as CreateFetchOptions
  const client = createClient({ transports: {}, retry, timeoutMs, interceptors, telemetry, clock } as ClientOptions<{}>)
  const own = origin === undefined ? [] : [origin].flat().map((each) => [originOf(each), { auth, idempotency, routes }])
  const policies = { ...Object.fromEntries(own), ...origins }
  return makeFace(hostOf(client) as never, { ...face, origins: policies }, { http, dispatcher }, true)
}

/** Origins are compared as URLs say them: without a path or a standard port. */
function originOf(url: string): string {
  return readUrl(url === 'self' ? '/' : url, 'createFetch({ origin })').origin
}
