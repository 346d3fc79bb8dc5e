import { type Client, type ClientOptions, makeClient } from './client.ts'
import type { AnyOutbox } from './core/call/operation.ts'
import type { Transport } from './core/call/transport.ts'
import { defaultInterceptors } from './interceptors/defaults.ts'

/**
 * Makes a client: one typed facade over all its transports, with one interceptor chain in front of each.
 *
 * @throws {CallError} `invalid_argument` when `transports` holds something that is no transport.
 * @example
 * const client = createClient({
 *   transports: { rest: restTransport({ baseUrl: 'https://api.example.com/v1' }) },
 *   auth: bearerAuth(() => session.token),
 * })
 * const api = client.bind({ users: { get: get('/users/{id}', { output: type<User>() }) } })
 * const user = await api.users.get({ id: 42 })
 */
export function createClient<T extends { readonly [via: string]: Transport }, O extends AnyOutbox | false = never>(
  options: ClientOptions<T, O>,
): Client<(keyof T & string) | ([O] extends [never] ? never : 'outbox')> {
  return makeClient(options, defaultInterceptors)
}
