import type { Clock } from '../../../src/core/time/clock.ts'
import type { SocketDriver, SocketEnd, SocketRequest } from '../driver/driver.ts'
import type { CloseVerdict, Incoming, WireAdapter } from '../wire-adapter.ts'
import type { Connection } from './connection.ts'
import type { CredentialPlace } from './credential.ts'
import type { HeartbeatOptions } from './heartbeat.ts'

/** What every connection of a link is made with. */
export interface ConnectionOptions {
  /** Called for each connection: what an adapter remembers is of one. */
  readonly makeAdapter: (receive: (incoming: Incoming) => void) => WireAdapter
  readonly clock: Clock
  readonly request: Omit<SocketRequest, 'subprotocols'>
  readonly chooseDriver: () => SocketDriver | Promise<SocketDriver>
  readonly authIn: CredentialPlace | undefined
  readonly connectTimeoutMs: number
  readonly heartbeat: HeartbeatOptions | false
  readonly receiver: Receiver
}

/** Who is told of what concerns more than the socket. */
export interface Receiver {
  /** Numbers that are never used twice on a link, so that a late answer meets nobody. */
  nextRef(): number
  onIncoming(connection: Connection, incoming: Incoming, size: number): void
  /** Code that is not ours has failed, and harms nobody but itself. */
  onFault(what: string, cause: unknown): void
}

/** Whom a connection tells how it stands; each call names it, so that a late one of an old socket is known. */
export interface ConnectionOwner {
  /** The server has accepted the socket and its credential. */
  onReady(connection: Connection): void
  /** The server has accepted another credential. */
  onRenewed(): void
  /** It is over; `verdict` is set where more is known than the close code says. */
  onLost(connection: Connection, end: SocketEnd, verdict: CloseVerdict | undefined): void
}
