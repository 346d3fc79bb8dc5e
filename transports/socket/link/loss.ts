import type { Credential } from '../../../src/core/call/auth.ts'
import type { StreamState } from '../../../src/core/stream/state.ts'
import type { CloseVerdict } from '../wire-adapter.ts'
import type { Connection } from './connection.ts'
import { isSameCredential } from './credential.ts'
import { renewed } from './verdicts.ts'

/** A connection that failed or was lost: one object for all that it carried. */
export interface Loss {
  readonly verdict: CloseVerdict
  /** It had been ready. */
  readonly wasReady: boolean
  /** The link does not try again by itself. */
  readonly isFinal: boolean
}

/** Who needs the socket: while there is one, the link keeps it open. */
export interface LinkUser {
  readonly credential: Credential | undefined
  /** Waits through failed attempts: a stream that is opened again. Others fail with the attempt, and `retry` decides. */
  readonly isPatient: boolean
  onReady(connection: Connection): void
  /** It is no user any more; it may join again. */
  onLoss(loss: Loss): void
  /** While it waits for the socket. */
  onState(state: StreamState): void
}

/** The transport was closed. */
export const closed: Loss = {
  verdict: { action: 'fatal', failure: { code: 'canceled', message: 'the transport was closed: make another client' } },
  wasReady: false,
  isFinal: true,
}

/** Who that waits is not failed by a loss, because the next attempt may serve it. */
export function staysAfter({ verdict, isFinal }: Loss, user: LinkUser, lost: Connection): boolean {
  if (verdict === renewed) return true
  const { credential } = user
  if (verdict.action === 'refresh-auth')
    return credential !== undefined && !isSameCredential(credential, lost.credential)
  return verdict.action === 'retry' && user.isPatient && !isFinal
}
