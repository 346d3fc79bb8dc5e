/** What tabs or processes may share. */
export type SharedPolicy = 'budget' | 'notBefore' | 'refresh' | 'breaker'

/** How much is shared, and how long the answer of the others is waited for. */
export interface SharedOptions {
  /** What is shared. @defaultValue all: `['budget', 'notBefore', 'refresh', 'breaker']` */
  readonly share?: readonly SharedPolicy[] | undefined
  /** So long a failed call waits for the store, and goes on by what it knows itself; ms. @defaultValue 50 */
  readonly waitMs?: number | undefined
  /** So long one refresh may take while the others wait for it; ms. @defaultValue 10_000 */
  readonly refreshTimeoutMs?: number | undefined
}

/** A token as its source gave it. */
export interface SharedToken {
  readonly token: string
  readonly expiresAt?: number | Date | undefined
  readonly expiresInMs?: number | undefined
  readonly scheme?: string | undefined
  readonly session?: unknown
}

/** One renewal among all. */
export interface RefreshSharing {
  /**
   * Gives what replaced `old`: what another one was given for it already, or what `ask` gives, once among all.
   *
   * @param isRepeatable - what was used to renew it may be used again, so that nothing is lost where a holder died.
   */
  renew(old: string, isRepeatable: boolean, ask: () => Promise<SharedToken | undefined>): Promise<Renewal>
}

/** Who renewed it. */
export interface Renewal {
  readonly token: SharedToken | undefined
  readonly isOwn: boolean
}

/** Whom the policies of a client are shared with: what `tabs()` and `processes()` make. */
export interface Shared {
  /** Called by each client that is given it; what is returned ends it. @param services - what the calls of the client share. */
  '~join'(services: object): () => void
}
