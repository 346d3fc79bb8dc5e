import type { Auth } from './auth.ts'
import type { Next } from './interceptor.ts'
import type { Transport } from './transport.ts'

/** One transport of a client with the chain composed in front of it. */
export interface Route {
  readonly transport: Transport
  readonly chain: Next
  readonly auth: Auth | undefined
}
