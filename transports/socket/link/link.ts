import type { Credential } from '../../../src/core/call/auth.ts'
import { guard } from '../../../src/core/guard.ts'
import type { StreamState } from '../../../src/core/stream/state.ts'
import type { BackoffOptions } from '../../../src/core/time/backoff.ts'
import type { Clock, Timer } from '../../../src/core/time/clock.ts'
import type { PageEvent, PageLife } from '../../../src/core/time/page-life.ts'
import { type CloseCodes, withCloseCode } from '../close-codes.ts'
import type { SocketDriver, SocketEnd, SocketRequest } from '../driver/driver.ts'
import type { CloseVerdict, Incoming, WireAdapter } from '../wire-adapter.ts'
import { Connection } from './connection.ts'
import { type CredentialPlace, Refusals, trialMs } from './credential.ts'
import { Burst } from './flow.ts'
import type { HeartbeatOptions } from './heartbeat.ts'
import { broken, closed, frozen, type LinkUser, type Loss, renewed, silent, staysAfter, stuck } from './loss.ts'
import { Schedule } from './schedule.ts'

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

/** How a link lives. */
export interface LinkOptions extends ConnectionOptions {
  readonly reconnect: BackoffOptions
  /** Of the link that a stream comes from, which comes back as another principal: the same server is waited for. */
  readonly schedule: Schedule | undefined
  /** How long a socket that nobody needs stays open; ms. */
  readonly idleMs: number
  readonly page: PageLife
  /** What close codes mean that the adapter does not know, or takes for something else. */
  readonly closeCodes: CloseCodes | undefined
  readonly receiver: LinkReceiver
}

/** Who is told of what comes in and of what is lost. */
export interface LinkReceiver extends Receiver {
  /** A socket is ready; told before the users are. */
  onUp(connection: Connection): void
  /** All that stood on the connection is gone; told before the users are. */
  onDown(): void
  /** The link will try again after this. */
  onWait(waitMs: number, loss: Loss): void
}

/** The answer to a ping may take so many times longer, at most, where bytes under way are not seen. */
const maxPatience = 8

/** While the browser says that it is offline, an attempt all the same: it may be wrong (robust-websocket#27); ms. */
const offlineMs = 30_000

/**
 * One socket and its life, however many channels it carries. It connects on demand only, and owns the waits between
 * attempts: nobody else sleeps for a lost socket.
 *
 *     idle ──join──▶ connecting ──ready──▶ open ──last user leaves, idleMs──▶ idle
 *      ▲                │  ▲                 │
 *      │           failed  wait over        lost (users join again)
 *      │                ▼  │                 │
 *      └─nobody left─ waiting ◀──────────────┘       waiting ◀─offline, online─▶ suspended
 *
 * `closed` is for good. Each attempt is a Connection of its own; what an older one still reports is ignored.
 */
export class SocketLink implements ConnectionOwner {
  readonly #options: LinkOptions
  readonly schedule: Schedule
  /** True: served by the connection; false: waits for it. */
  readonly #users = new Map<LinkUser, boolean>()
  #state: StreamState = 'idle'
  #connection: Connection | undefined
  #credential: Credential | undefined
  /** When the last of its users came, with a credential of that moment. */
  #joinedAt!: number
  readonly #refusals: Refusals
  readonly #burst: Burst
  #timer: Timer | undefined
  #isFrozen?: boolean
  /** The dial before has failed, and this platform does not show why: it may have been the credential. */
  #untold: Loss | undefined
  /** A silence that may have been a large frame on a slow network is waited for longer the next time. */
  #patience = 1
  #leavePage: (() => void) | undefined

  constructor(options: LinkOptions) {
    this.#options = options
    this.schedule = options.schedule ?? new Schedule(options.clock, options.reconnect)
    this.#refusals = new Refusals(options.clock)
    this.#burst = new Burst(options.clock)
  }

  get users(): number {
    return this.#users.size
  }

  /** The socket that is open. */
  get connection(): Connection | undefined {
    return this.#state === 'open' ? this.#connection : undefined
  }

  /** Nothing of it needs to be remembered. */
  get isForgettable(): boolean {
    return this.#state === 'idle' && this.schedule.waitMs <= 0
  }

  /** The socket was refused for this credential: another one must be asked for before it is tried again. */
  isRefused(credential: Credential | undefined): boolean {
    return this.#refusals.isRefused(credential)
  }

  /** A new user; told at once where the socket is ready. */
  join(user: LinkUser): void {
    if (this.#state === 'closed') {
      user.onLoss(closed)
      return
    }
    this.#users.set(user, false)
    this.#leavePage ??= this.#options.page.watch((event) => this.#onPage(event))
    this.#credential = user.credential ?? this.#credential
    this.#joinedAt = this.#options.clock.now()
    if (this.#connection) this.#admit(user, this.#connection)
    else this.#pursue()
  }

  leave(user: LinkUser): void {
    if (!this.#users.delete(user) || this.#users.size > 0) return
    if (this.#connection) {
      this.#connection.hold(false)
      this.#setTimer(() => this.close('idle'), this.#options.idleMs, false)
    } else this.close('idle')
  }

  /** The server refused the live socket's credential; says whether an open stream should be tried with another one. */
  refuse(wasOpen: boolean): boolean {
    const credential = this.#connection?.credential
    this.#refusals.onLive(credential)
    return wasOpen && this.#refusals.onOpen(credential)
  }

  /** A message of the application has come: the server is well, and the waits start afresh. */
  progressed(connection: Connection): void {
    connection.hasProgressed = true
    this.#refusals.accepted()
  }

  /** Hangs up; nothing is left running. */
  close(state: 'idle' | 'closed' = 'closed'): void {
    this.#timer?.clear()
    this.#burst.stop()
    // In the back/forward cache somebody must listen for the way out.
    if (!this.#isFrozen || state === 'closed') {
      this.#leavePage?.()
      this.#leavePage = undefined
    }
    this.#enter(state)
    this.#connection?.close()
    this.#connection = undefined
    for (const user of [...this.#users.keys()]) user.onLoss(closed)
    this.#users.clear()
  }

  #admit(user: LinkUser, connection: Connection): void {
    this.#timer?.clear()
    connection.hold(true)
    if (connection.isReady && this.#refusals.mustRenew(connection.credential, user.credential)) {
      this.#refusals.renewed()
      if (!connection.renew(user.credential as Credential)) connection.drop(renewed)
    }
    if (connection.isReady) this.#serve(connection, user)
    else if (connection === this.#connection) user.onState('connecting')
  }

  /** Does what the demand asks for: an attempt, or the wait before it. */
  #pursue(): void {
    if (this.#connection || this.#state === 'closed') return
    if (this.#users.size === 0) this.close('idle')
    else if (this.#isFrozen) {
      this.#timer?.clear()
      this.#enter('suspended')
    } else if (this.schedule.waitMs <= 0) this.#connect()
    else this.#wait(this.schedule.waitMs)
  }

  #wait(waitMs: number): void {
    const { isOffline } = this.#options.page
    this.#setTimer(() => this.#connect(), isOffline ? Math.max(waitMs, offlineMs) : waitMs)
    this.#enter(isOffline ? 'suspended' : 'waiting')
  }

  #connect(): void {
    this.#timer?.clear()
    const isOld = this.#options.clock.now() - this.#joinedAt > trialMs
    const loss = this.#untold ?? (isOld && { verdict: renewed })
    this.#untold = undefined
    // Streams come back at once, with a credential of this moment.
    for (const [user] of this.#users)
      if (loss && user.isPatient && user.credential && this.#users.delete(user)) user.onLoss(loss)
    if (this.#users.size === 0) {
      this.close('idle')
      return
    }
    this.schedule.attempted()
    this.#connection = new Connection(this.#options, this, this.#credential, this.#patience)
    this.#enter('connecting')
    void this.#connection?.start()
  }

  onReady(connection: Connection): void {
    if (connection !== this.#connection) return
    this.schedule.opened()
    this.#refusals.renewed()
    this.#options.receiver.onUp(connection)
    this.#enter('open')
    this.#serveAll()
  }

  onRenewed(): void {
    this.#refusals.accepted()
  }

  onLost(connection: Connection, end: SocketEnd, verdict: CloseVerdict | undefined): void {
    if (connection !== this.#connection) return
    if (verdict === silent && connection.bytesRead === undefined)
      this.#patience = Math.min(this.#patience * 2, maxPatience)
    const known = verdict ?? this.#classify(connection, end)
    const loss = this.#judge(connection, isVerdict(known) ? known : broken('the adapter', noVerdict()))
    this.#untold = !verdict && !end.refusal && end.phase === 'connect' ? loss : undefined
    this.#lost(connection, loss)
  }

  #serveAll(): void {
    const { connection } = this
    for (const [user, isServed] of this.#users) if (!isServed && connection?.isReady) this.#serve(connection, user)
  }

  /** Streams that come back after a drop wait for their turn. */
  #serve(connection: Connection, user: LinkUser): void {
    if (user.isPatient && !this.#burst.pass(() => this.#serveAll())) return
    this.#users.set(user, true)
    user.onReady(connection)
  }

  #classify({ adapter }: Connection, end: SocketEnd): CloseVerdict {
    try {
      const verdict = guard('classifyClose()', () => adapter.classifyClose(end))
      const { closeCodes } = this.#options
      return withCloseCode(verdict, closeCodes?.[end.code])
    } catch (cause) {
      return broken('the adapter', cause)
    }
  }

  #judge({ credential }: Connection, verdict: CloseVerdict): Loss {
    const { action } = verdict
    // A refused credential is another try once, where the socket was ready with it.
    const isFinal =
      action === 'refresh-auth'
        ? !this.#refusals.onOpen(credential) || this.#state !== 'open'
        : action === 'fatal' || this.schedule.isExhausted
    return { verdict, isFinal }
  }

  #lost(connection: Connection, loss: Loss): void {
    const { verdict, isFinal } = loss
    const { page, receiver } = this.#options
    this.#connection = undefined
    this.#state = 'idle'
    this.#timer?.clear()
    const isPrompt = verdict === renewed || verdict.action === 'refresh-auth'
    this.schedule.lost(verdict.minDelayMs ?? 0, isPrompt, page.isHidden)
    receiver.onDown()
    if (verdict.action === 'retry' && !isFinal) receiver.onWait(Math.max(0, this.schedule.waitMs), loss)
    for (const [user, isServed] of [...this.#users]) {
      if (!isServed && staysAfter(loss, user, connection)) continue
      this.#users.delete(user)
      user.onLoss(loss)
    }
    this.#pursue()
  }

  #onPage(event: PageEvent): void {
    if (event === 'frozen' || event === 'woken') this.#isFrozen = event === 'frozen'
    if (event === 'frozen' && this.#connection) this.#connection.drop(frozen)
    else if (event === 'frozen' || event === 'offline') this.#pursue()
    else if (event !== 'hidden') this.#wake()
  }

  /** The network or the machine is back: a live socket is probed, a wait cut short. */
  #wake(): void {
    const connection = this.#connection
    this.schedule.wake()
    this.#patience = 1
    if (!connection) this.#pursue()
    else if (connection.isReady) connection.probe()
    else if (this.schedule.isStuck) connection.drop(stuck)
  }

  #enter(state: StreamState): void {
    if (this.#state !== 'closed') this.#state = state
    for (const [user, isServed] of this.#users) if (!isServed) user.onState(state)
  }

  #setTimer(run: () => void, delayMs: number, isHeld = true): void {
    this.#timer?.clear()
    this.#timer = this.#options.clock.setTimer(run, delayMs)
    this.#timer.hold(isHeld)
  }
}

/** Adapters are not ours: what they say of an end is looked at. */
function isVerdict(verdict: Partial<CloseVerdict> | null | undefined): verdict is CloseVerdict {
  return (
    typeof verdict?.failure?.code === 'string' && ['retry', 'refresh-auth', 'fatal'].includes(verdict.action as string)
  )
}

function noVerdict(): TypeError {
  return new TypeError('classifyClose() gives { action, failure: { code, message } }')
}
