import { type Client, type ClientOptions, makeClient } from './client.ts'
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
export function createClient<T extends { readonly [via: string]: Transport }>(
  options: ClientOptions<T>,
): Client<keyof T & string> {
  return makeClient(options, defaultInterceptors)
}
