import type { Credential } from '../core/call/auth.ts'
import type { Call } from '../core/call/call.ts'
import type { TokenRun } from '../core/call/token-run.ts'
import { silentMs } from './kept-answer.ts'

/** A token that is kept until shortly before its end. */
export interface Kept {
  readonly credential: Credential
  readonly endsAt: number
  readonly renewAt: number
  /** `refresh` gave it, and gives the next one. */
  readonly isRefreshed: boolean
}

/** A run of the source that others may join. */
export interface Work {
  readonly run: TokenRun
  readonly kind: 'asking' | 'renewing'
  readonly promise: Promise<Credential | undefined>
  readonly begunAt: number
}

/** What one identity holds. */
export interface Holding {
  /** Of which login it is, where the source tells. */
  readonly login: Login | undefined
  kept?: Kept | undefined
  /** The last answer of `token()` declared no life: it is asked for each attempt, to follow logins, whatever is kept. */
  isPlain?: boolean
  /** The last credentials, by token: one that comes again is the same one, of the same principal. */
  readonly known: Map<string, Credential>
  readonly refused: WeakSet<Credential>
  /** What replaced the last one that was refused. */
  replacement?: Credential | undefined
  work?: Work | undefined
  failed?: { readonly rejected: Credential; readonly cause: unknown; readonly at: number } | undefined
  usedAt: number
}

/** One login, where a source tells where one ends and the next begins. */
export interface Login {
  /** Another one with each: whoever is given its tokens is one principal. */
  readonly id: string
}

/** The login of an identity: the one before, where that still goes on. @throws where there is none. */
export type LoginOf = (identity: string, before: Login | undefined) => Login

/** Identities remembered; above this, and when nobody has called for so long, they are forgotten, secrets and all. */
const maxIdentities = 1000
const identityIdleMs = 600_000

/** Finds what the identity of a call holds. Those used last stand last. */
export function holdingsBy(loginOf: LoginOf | undefined): (call: Call) => Holding {
  const holdings = new Map<string, Holding>()
  return ({ identity, scope }) => {
    const now = scope.services.clock.now()
    let holding = holdings.get(identity)
    const login = loginOf?.(identity, holding?.login)
    if (!holding || holding.login !== login) {
      makeRoom(holdings, now)
      holding = { login, known: new Map(), refused: new WeakSet(), usedAt: now }
      holdings.set(identity, holding)
    } else if (holding.usedAt !== now && holdings.size > 1) {
      holdings.delete(identity)
      holdings.set(identity, holding)
    }
    holding.usedAt = now
    // As a fetch without a time-out in a network that drops it: whoever comes later asks again.
    if (holding.work && now - holding.work.begunAt >= silentMs) holding.work = undefined
    return holding
  }
}

/** For one identity more. */
function makeRoom(holdings: Map<string, Holding>, now: number): void {
  for (const [identity, { usedAt, work }] of holdings) {
    if (holdings.size < maxIdentities && now - usedAt < identityIdleMs) return
    if (!work) holdings.delete(identity)
  }
}
