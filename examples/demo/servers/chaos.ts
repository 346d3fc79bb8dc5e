/** The five, in the order in which everything lists them. */
export const protocols = ['rest', 'graphql', 'grpc-web', 'websocket', 'sse'] as const
export type Protocol = (typeof protocols)[number]

/** What goes wrong with one request or stream. */
export type Fault =
  /** Refused before it ran, with the time to come back: 503 with Retry-After, or what the protocol has for it. */
  | { readonly kind: 'busy'; readonly retryAfterS: number }
  /** Half of the answer, then a TCP reset. */
  | { readonly kind: 'cut' }
  /** So many messages of a stream, then a TCP reset. */
  | { readonly kind: 'kill'; readonly after: number }

/** What the servers are told to do wrong, and which token they take. */
export class Chaos {
  /** The streams' servers forget one message that a client has missed: data is really lost. */
  readonly isForgetful: boolean
  readonly #faults = new Map<Protocol, Fault[]>()
  #token = 'token-1'

  constructor({ isForgetful }: { readonly isForgetful: boolean }) {
    this.isForgetful = isForgetful
  }

  get token(): string {
    return this.#token
  }

  /** The next requests to a server meet these faults, one each. */
  plan(protocol: Protocol, ...faults: readonly Fault[]): void {
    this.#faults.set(protocol, [...(this.#faults.get(protocol) ?? []), ...faults])
  }

  /** What the request that just came meets; with a kind, only if it is of that kind. */
  take(protocol: Protocol, kind?: Fault['kind']): Fault | undefined {
    const planned = this.#faults.get(protocol)
    return kind === undefined || planned?.[0]?.kind === kind ? planned?.shift() : undefined
  }

  /** From now on another token is valid: every one that was given out has expired. */
  expireToken(): void {
    this.#token = `token-${Number(this.#token.slice('token-'.length)) + 1}`
  }

  accepts(authorization: string | undefined | null): boolean {
    return authorization === `Bearer ${this.#token}`
  }
}
