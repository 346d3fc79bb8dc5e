import type { Failure } from '../../src/core/errors/failure.ts'
import type { Clock } from '../../src/core/time/clock.ts'
import type { Connection } from './link/connection.ts'
import type { LinkUser } from './link/loss.ts'
import type { Acceptance, Incoming, WireAdapter, WireFrame } from './wire-adapter.ts'

/** Who waits for the answer to a `ref`. */
export interface Awaiting {
  onAck(ack: Extract<Incoming, { kind: 'ack' }>): void
  onError(failure: Failure): void
}

/** What the parts of a session share: one socket's words, and who waits for which answer. */
export interface SessionWire {
  readonly adapter: WireAdapter
  readonly clock: Clock
  /** Whether subscriptions are answered: known from the protocol, or learnt from this server. */
  readonly isSubscribedSure: boolean | undefined
  /** Whether messages are acknowledged. */
  readonly hasAcks: boolean
  nextRef(): number
  /** `awaiting` is told of the answer to `ref`, once. */
  expect(ref: number, awaiting: Awaiting): void
  forget(ref: number): void
  /** What the server says about itself while it accepts a subscription; undefined: it said nothing in time. */
  learn(acceptance: Acceptance | undefined): void
  leave(user: LinkUser): void
}

/** A connection as a channel uses it. */
export type Line = Pick<Connection, 'pacing' | 'isPausable'> & { write(frame: WireFrame | undefined): boolean }
