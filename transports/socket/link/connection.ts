import type { Credential } from '../../../src/core/call/auth.ts'
import type { Clock, Timer } from '../../../src/core/time/clock.ts'
import type { SocketDriver, SocketEnd, SocketHandle, SocketRequest } from '../driver/driver.ts'
import type { CloseVerdict, Incoming, WireAdapter, WireFrame } from '../wire-adapter.ts'
import { type CredentialPlace, placeCredential } from './credential.ts'
import { Heartbeat, type HeartbeatOptions } from './heartbeat.ts'
import { Pacing } from './pacing.ts'
import { malformed, refusedHello, unanswered, unmakeable } from './verdicts.ts'

/** What every connection of a link is made with. */
export interface ConnectionOptions {
  readonly adapter: WireAdapter
  readonly clock: Clock
  readonly request: SocketRequest
  readonly chooseDriver: () => SocketDriver | Promise<SocketDriver>
  readonly authIn: CredentialPlace | undefined
  readonly connectTimeoutMs: number
  readonly heartbeat: HeartbeatOptions | false
  /** Numbers that are never used twice on a link, so that a late answer meets nobody. */
  readonly nextRef: () => number
}

/** Whom a connection tells; each call names the connection, so that a late one of an old socket is known. */
export interface ConnectionOwner {
  /** The server has accepted the socket and its credential: once, and again after each renewal. */
  onReady(connection: Connection): void
  onIncoming(connection: Connection, incoming: Incoming, size: number): void
  /** It is over; `verdict` is set where more is known than the close code says. */
  onLost(connection: Connection, end: SocketEnd, verdict: CloseVerdict | undefined): void
}

const silence = 'the connection went silent: nothing came, not even an answer to a ping'

/**
 * One socket, from the dialling to its end:
 *
 *     dialling ──open──▶ greeting ──hello accepted──▶ ready ──▶ over
 *                            ▲───────────renewal───────┘
 */
export class Connection {
  readonly #options: ConnectionOptions
  readonly #owner: ConnectionOwner
  readonly #heartbeat: Heartbeat | undefined
  /** Frames wait here while the socket has too much to send. */
  readonly pacing: Pacing
  #state: 'dialling' | 'greeting' | 'ready' | 'over' = 'dialling'
  #credential: Credential | undefined
  #inMessage: Credential | undefined
  #handle: SocketHandle | undefined
  #patience: Timer | undefined
  #helloRef: number | undefined
  /** Reading can be stopped. */
  isPausable = false
  /** A message of the application has come. */
  hasProgressed = false

  constructor(options: ConnectionOptions, owner: ConnectionOwner, credential: Credential | undefined) {
    this.#options = options
    this.#owner = owner
    this.#credential = credential
    const { clock, heartbeat } = options
    this.pacing = new Pacing(clock)
    if (heartbeat)
      this.#heartbeat = new Heartbeat(
        clock,
        heartbeat,
        () => this.#ping(),
        () => this.#giveUp(silence),
      )
  }

  get isReady(): boolean {
    return this.#state === 'ready'
  }

  /** What it was opened with, or renewed with since. */
  get credential(): Credential | undefined {
    return this.#credential
  }

  /** Dials; what goes wrong is told as the end of the socket. */
  start(): void {
    this.#limit('the server did not accept the socket within connectTimeoutMs')
    Promise.resolve()
      .then(() => this.#options.chooseDriver())
      .then((driver) => this.#dial(driver))
      .catch((cause: unknown) => this.drop(unmakeable(cause)))
  }

  /** False where the socket can take no frame any more: its end is about to be told. */
  write(frame: WireFrame | undefined): boolean {
    if (frame === undefined) return true
    const handle = this.#handle
    if (!handle?.isOpen) return false
    handle.send(frame)
    this.pacing.wrote(frame.length, handle)
    return true
  }

  pause(): void {
    this.#handle?.pause?.()
    // While nothing is read, silence proves nothing.
    this.#heartbeat?.stop()
  }

  resume(): void {
    this.#handle?.resume?.()
    if (this.#state !== 'over') this.#heartbeat?.start()
  }

  hold(isHeld: boolean): void {
    this.#handle?.hold?.(isHeld)
  }

  /** Asks for a sign of life at once. */
  probe(): void {
    if (this.#state === 'ready') this.#heartbeat?.probe()
  }

  /** Another credential on this socket; false where the protocol has no word for it. */
  renew(credential: Credential): boolean {
    const { adapter, nextRef } = this.#options
    if (!adapter.reauthenticate || this.#state !== 'ready') return false
    this.#credential = credential
    this.#state = 'greeting'
    this.#helloRef = nextRef()
    this.#limit('the server did not accept the new credential within connectTimeoutMs')
    this.write(adapter.reauthenticate({ ref: this.#helloRef, credential }))
    return true
  }

  /** Ends it from this side, without a report. */
  close(): void {
    this.#leave()
    this.#handle?.close(1000, '')
  }

  /** Gives it up for a reason of our own, and reports that. */
  drop(verdict: CloseVerdict): void {
    if (this.#state === 'over') return
    const phase = this.#state === 'dialling' ? 'connect' : 'open'
    this.#leave()
    this.#handle?.close(verdict.closeCode ?? 1000, '')
    this.#owner.onLost(this, { code: 1006, reason: '', wasClean: false, phase }, verdict)
  }

  #dial(driver: SocketDriver): void {
    if (this.#state !== 'dialling') return
    const { request, authIn } = this.#options
    const placed = placeCredential(request, this.#credential, driver, authIn)
    this.#inMessage = placed.inMessage
    this.isPausable = driver.capabilities.pause
    this.#handle = driver.open(placed.request, {
      onOpen: () => this.#greet(),
      onFrame: (frame) => this.#received(frame),
      onAlive: () => this.#heartbeat?.alive(),
      onEnd: (end) => this.#ended(end),
    })
  }

  #greet(): void {
    if (this.#state !== 'dialling') return
    this.#state = 'greeting'
    const { adapter, nextRef } = this.#options
    this.#helloRef = nextRef()
    const fail = (cause: unknown): void => this.drop(unmakeable(cause))
    try {
      const hello = adapter.hello({ ref: this.#helloRef, credential: this.#inMessage })
      if (hello instanceof Promise) hello.then((frame) => this.#say(frame)).catch(fail)
      else this.#say(hello)
    } catch (cause) {
      fail(cause)
    }
  }

  #say(hello: WireFrame | undefined): void {
    if (this.#state !== 'greeting') return
    this.write(hello)
    this.#heartbeat?.start()
    if (hello === undefined || !this.#options.adapter.traits.isHelloAwaited) this.#accepted()
  }

  #accepted(): void {
    if (this.#state !== 'greeting') return
    this.#state = 'ready'
    this.#patience?.clear()
    this.#owner.onReady(this)
  }

  #received(frame: WireFrame): void {
    if (this.#state === 'over') return
    this.#heartbeat?.alive()
    const incoming = this.#decode(frame)
    if (incoming === undefined) return
    if ('kind' in incoming) this.#take(incoming, frame.length)
    else for (const each of incoming) this.#take(each, frame.length)
  }

  #decode(frame: WireFrame): Incoming | readonly Incoming[] | undefined {
    try {
      return this.#options.adapter.decode(frame)
    } catch (cause) {
      this.drop(malformed(cause))
      return undefined
    }
  }

  #take(incoming: Incoming, size: number): void {
    if (this.#state === 'over') return
    if (incoming.kind === 'data' || !this.#isMine(incoming)) this.#owner.onIncoming(this, incoming, size)
  }

  /** Deals with what concerns the socket alone. */
  #isMine(incoming: Incoming): boolean {
    const { kind } = incoming
    if (kind === 'ping') this.write(this.#options.adapter.pong(incoming.payload))
    else if (kind === 'ready') this.#accepted()
    else if (kind === 'goodbye') this.drop(incoming.verdict)
    else if (kind === 'ack' || kind === 'error') {
      if (incoming.ref === undefined || incoming.ref !== this.#helloRef) return false
      const isAwaited = this.#options.adapter.traits.isHelloAwaited
      const verdict = kind === 'error' ? refusedHello(incoming.failure, isAwaited) : undefined
      if (verdict) this.drop(verdict)
      else if (kind === 'ack') this.#accepted()
    } else return kind === 'pong'
    return true
  }

  #ping(): void {
    const handle = this.#handle
    if (handle?.ping && handle.isOpen) handle.ping()
    else this.write(this.#options.adapter.ping())
  }

  #limit(message: string): void {
    const giveUp = () => this.#giveUp(message)
    this.#patience = this.#options.clock.setTimer(giveUp, this.#options.connectTimeoutMs)
  }

  #giveUp(message: string): void {
    const closeCode = this.#state === 'greeting' ? this.#options.adapter.traits.helloTimeoutCode : undefined
    this.drop({ ...unanswered(message), closeCode })
    // Where the protocol wants a word about it, the closing handshake is let go, but nobody waits for it.
    if (closeCode === undefined) this.#handle?.terminate()
    else this.#handle?.hold?.(false)
  }

  #ended(end: SocketEnd): void {
    if (this.#state === 'over') return
    const isUngreeted = this.#state === 'greeting'
    this.#leave()
    this.#owner.onLost(this, isUngreeted ? { ...end, phase: 'hello' } : end, undefined)
  }

  #leave(): void {
    this.#state = 'over'
    this.#patience?.clear()
    this.#heartbeat?.stop()
    this.pacing.stop()
  }
}
