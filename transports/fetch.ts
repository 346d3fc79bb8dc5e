import { hostOf } from '../src/core/call/face-host.ts'
import { checkOptions } from '../src/core/options.ts'
import { FaceClient } from '../src/face-client.ts'
import { makeFace } from './fetch/face.ts'
import { createFetchRules, faceRules } from './fetch/options.ts'
import type { CreateFetchOptions, FaceOptions, PolywireFetch } from './fetch/types.ts'

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
export { type DeadlineHeader, type DeadlineWriter, deadlineHeader } from './shared/deadline-header.ts'

/** A client of any transports. */
interface AnyClient {
  bind(contract: never): unknown
  close(): Promise<void>
}

/**
 * A `fetch` with the whole chain: retries, Retry-After, auth with one refresh, deadlines, for every library that takes a
 * fetch. It answers and rejects as the platform's does; the CallError is the `cause` of what it rejects with.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * const fetch = createFetch({ origin: 'https://api.example.com', auth: bearerAuth(() => session.token) })
 * const openai = new OpenAI({ fetch })
 */
export function createFetch(options?: CreateFetchOptions): PolywireFetch
/**
 * The same over a client: its calls share the budget, the waits, the refreshes and the credentials of that client.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * const fetch = createFetch(client)
 */
export function createFetch(client: AnyClient, options?: FaceOptions): PolywireFetch
export function createFetch(first: AnyClient | CreateFetchOptions = {}, second: FaceOptions = {}): PolywireFetch {
  const host = hostOf(first)
  if (host) {
    checkOptions('createFetch(client)', second, faceRules)
    return makeFace(host, second, {}, false)
  }
  checkOptions('createFetch()', first, createFetchRules)
  const { origin, auth, idempotency, routes, origins, http, dispatcher, ...rest } = first as CreateFetchOptions
  const own = [origin ?? []].flat().map((each) => [each, { auth, idempotency, routes }])
  return makeFace(
    new FaceClient(rest),
    { ...rest, origins: { ...Object.fromEntries(own), ...origins } },
    { http, dispatcher },
    true,
  )
}
