import type { Credential } from '../../../src/core/call/auth.ts'
import { isThenable } from '../../../src/core/guard.ts'
import type { Timer } from '../../../src/core/time/clock.ts'
import { watchTimer } from '../../../src/core/time/clock.ts'
import type { SocketDriver, SocketEnd, SocketHandle, SocketSink } from '../driver/driver.ts'
import type { CloseVerdict, Incoming, Promised, WireAdapter, WireFrame, WireFrames } from '../wire-adapter.ts'
import { placeCredential } from './credential.ts'
import { Congestion, highWaterBytes } from './flow.ts'
import { Heartbeat, type HeartbeatOwner } from './heartbeat.ts'
import type { ConnectionOptions, ConnectionOwner } from './link.ts'
import {
  broken,
  lateMeaning,
  malformed,
  noFrame,
  refusedHello,
  silent,
  unanswered,
  undialled,
  unmakeable,
} from './loss.ts'

/**
 * One socket, from the dialling to its end:
 *
 *     dialling ──open──▶ greeting ──hello accepted──▶ ready ──▶ over
 */
export class Connection implements SocketSink, HeartbeatOwner {
  /** Set before the socket is opened. */
  declare adapter: WireAdapter
  readonly #options: ConnectionOptions
  readonly #owner: ConnectionOwner
  readonly #heartbeat: Heartbeat | undefined
  #state: 'dialling' | 'greeting' | 'ready' | 'over' = 'dialling'
  #credential: Credential | undefined
  #inMessage: Credential | undefined
  #handle: SocketHandle | undefined
  #writtenBytes = 0
  #patience: Timer | undefined
  #dialling: AbortController | undefined
  #beat: Timer | undefined
  #isBeatChained?: boolean
  #helloRef: number | undefined
  /** The socket has too much to send: frames should wait. */
  congestion: Congestion | undefined
  /** Reading can be stopped. */
  isPausable = false
  /** A message of the application has come. */
  hasProgressed = false

  constructor(
    options: ConnectionOptions,
    owner: ConnectionOwner,
    credential: Credential | undefined,
    patience?: number,
  ) {
    this.#options = options
    this.#owner = owner
    this.#credential = credential
    const { clock, heartbeat } = options
    if (heartbeat) this.#heartbeat = new Heartbeat(clock, heartbeat, this, patience)
  }

  get isReady(): boolean {
    return this.#state === 'ready'
  }

  /** What it was opened with, or renewed with since. */
  get credential(): Credential | undefined {
    return this.#credential
  }

  get bytesRead(): number | undefined {
    return this.#handle?.bytesRead
  }

  /** Dials; what goes wrong is told as the end of the socket. */
  async start(): Promise<void> {
    const { makeAdapter, chooseDriver, clock, connectTimeoutMs } = this.#options
    this.#patience = watchTimer(clock, () => this.#tooLate(), connectTimeoutMs)
    try {
      // Not at once: who asks for the socket is told of nothing before it has joined.
      await undefined
      this.adapter = makeAdapter((incoming) => this.#hear(incoming))
      const driver = await chooseDriver()
      if (this.#state === 'dialling') await this.#dial(driver)
    } catch (cause) {
      this.drop(unmakeable(cause))
    }
  }

  /** False where the socket can take no frame any more: its end is about to be told, or just was. */
  write(frame: WireFrames | undefined): boolean {
    if (frame === undefined) return true
    if (Array.isArray(frame)) return frame.every((each) => this.write(each))
    if (typeof frame !== 'string' && !ArrayBuffer.isView(frame)) throw noFrame(frame)
    const handle = this.#handle
    try {
      if (handle?.send(frame)) {
        this.#writtenBytes += frame.length
        if (this.#writtenBytes >= highWaterBytes) this.#slowDown(handle)
        return true
      }
    } catch (cause) {
      this.drop(broken("the WebSocket's send()", cause))
    }
    this.adapter.unsent?.(frame)
    return false
  }

  /** Says what nobody waits for; where it cannot be written down, the socket goes on without. */
  say(what: 'unsubscribe' | 'cancel', encode: (adapter: WireAdapter) => WireFrames | undefined): void {
    try {
      this.write(encode(this.adapter))
    } catch (cause) {
      this.#options.receiver.onFault(`the adapter's ${what}()`, cause)
    }
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

  /**
   * Another credential of the same principal on this socket; false where the protocol has no word for it. What follows
   * goes out at once behind it: the server reads in order, and a plain one need not answer.
   */
  renew(credential: Credential): boolean {
    if (!this.adapter.reauthenticate || this.#state !== 'ready') return false
    this.#credential = credential
    const hello = { ref: this.#nextHello(), credential }
    this.#answer('reauthenticate', (adapter) => adapter.reauthenticate?.(hello))
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
    const { closeCode = 1000 } = verdict
    this.#leave()
    this.#handle?.close(closeCode, '')
    this.#owner.onLost(this, { code: 1006, reason: '', wasClean: false, phase }, verdict)
  }

  onOpen(): void {
    if (this.#state !== 'dialling') return
    // A class that opens while it is being made.
    if (!this.#handle) {
      queueMicrotask(() => this.onOpen())
      return
    }
    this.#state = 'greeting'
    void this.#greet()
  }

  onFrame(frame: WireFrame): void {
    if (this.#state === 'over') return
    this.#heartbeat?.alive()
    if (this.#isBeatChained) this.#keepAlive()
    try {
      const incoming = this.adapter.decode(frame)
      if (!incoming) return
      if ('kind' in incoming) {
        if (incoming.kind === 'data') this.#options.receiver.onIncoming(this, incoming, frame.length)
        else this.#receive(incoming, frame.length)
      } else if (isThenable(incoming)) throw lateMeaning(incoming)
      else for (const each of incoming) this.#receive(each, frame.length)
    } catch (cause) {
      this.drop(malformed(cause))
    }
  }

  onAlive(): void {
    this.#heartbeat?.alive()
  }

  onEnd(end: SocketEnd): void {
    if (this.#state === 'over') return
    const isUngreeted = this.#state === 'greeting'
    this.#leave()
    this.#owner.onLost(this, isUngreeted ? { ...end, phase: 'hello' } : end, undefined)
  }

  ping(): void {
    if (this.#handle?.ping) this.#answer('ping', () => this.#handle?.ping?.() as undefined, "the WebSocket's")
    else this.#answer('ping', (adapter) => adapter.ping() ?? this.#heartbeat?.unasked())
  }

  onSilent(): void {
    this.drop(silent)
    this.#handle?.terminate()
  }

  async #dial(driver: SocketDriver): Promise<void> {
    const { adapter } = this
    const { headers: takesHeaders, pause } = driver.capabilities
    const plain = { ...this.#options.request, subprotocols: adapter.subprotocols ?? [], credential: this.#credential }
    this.#dialling = adapter.handshake && new AbortController()
    const made =
      this.#dialling && (await adapter.handshake?.({ ...plain, takesHeaders, signal: this.#dialling.signal }))
    const { credential, ...request } = { ...plain, ...made }
    const placed = placeCredential(request, credential, driver, this.#options.authIn ?? adapter.traits.authIn)
    this.#inMessage = placed.inMessage
    this.isPausable = pause
    const wire = placed.inMessage ? undefined : credential?.wire
    const headers = wire ? await wire.handshake(placed.request.url, placed.request.headers) : placed.request.headers
    if (this.#state === 'dialling') this.#handle = driver.open({ ...placed.request, headers }, this)
  }

  /** Counts what was written itself, since some sockets always report 0 (bun#31760): so the loop gets its turn. */
  #slowDown(handle: SocketHandle): void {
    this.congestion ??= new Congestion(this.#options.clock, handle, () => {
      this.congestion = undefined
      this.#writtenBytes = handle.bufferedAmount
    })
  }

  /** What an adapter says by itself, from wherever it does: as wrong as what it reads, perhaps. */
  #hear(incoming: Incoming): void {
    try {
      this.#receive(incoming, 0)
    } catch (cause) {
      this.drop(broken('the adapter', cause))
    }
  }

  #receive(incoming: Incoming, size: number): void {
    if (this.#state === 'over') return
    const { kind } = incoming
    if (kind === 'ping') this.#answer('pong', (adapter) => adapter.pong(incoming.payload))
    else if (kind === 'answer') this.#answer('decode', () => incoming.frames)
    else if (kind === 'ready') this.#accepted(incoming)
    else if (kind === 'goodbye') this.drop(incoming.verdict)
    else if ((kind === 'ack' || kind === 'error') && incoming.ref !== undefined && incoming.ref === this.#helloRef)
      this.#judgeHello(incoming)
    else if (kind !== 'pong') this.#options.receiver.onIncoming(this, incoming, size)
  }

  #judgeHello(answer: Extract<Incoming, { kind: 'ack' | 'error' }>): void {
    const failure = answer.kind === 'error' ? answer.failure : undefined
    const verdict = failure && refusedHello(failure, this.adapter.traits.isHelloAwaited)
    if (verdict) this.drop(verdict)
    else if (this.#state === 'ready') failure || this.#owner.onRenewed()
    else if (answer.kind === 'ack') this.#accepted(answer)
  }

  #accepted(promised?: Promised): void {
    if (this.#state !== 'greeting') return
    this.#state = 'ready'
    this.#patience?.clear()
    if (promised?.silenceMs) this.#heartbeat?.promised(promised.silenceMs)
    this.#keepAlive()
    this.#owner.onReady(this)
  }

  /** Chains of timers are kept short, as in the heartbeat. */
  #keepAlive(): void {
    const { keepAliveMs } = this.adapter.traits
    if (!keepAliveMs) return
    this.#beat?.clear()
    this.#beat = this.#options.clock.setTimer(() => {
      this.#keepAlive()
      this.#isBeatChained = true
      this.#answer('ping', (adapter) => adapter.ping())
    }, keepAliveMs)
    this.#beat.hold(false)
    this.#isBeatChained = false
  }

  /** The first words; an adapter may have to ask somebody for them. */
  async #greet(): Promise<void> {
    try {
      const frames = this.adapter.hello({ ref: this.#nextHello(), credential: this.#inMessage })
      this.#say(isThenable(frames) ? await frames : frames)
    } catch (cause) {
      this.drop(unmakeable(cause))
    }
  }

  #say(hello: WireFrames | undefined): void {
    if (this.#state !== 'greeting') return
    this.write(hello)
    this.#heartbeat?.start()
    if (hello === undefined || !this.adapter.traits.isHelloAwaited) this.#accepted()
  }

  #nextHello(): number {
    this.#helloRef = this.#options.receiver.nextRef()
    return this.#helloRef
  }

  /** Without these words the server gives the socket up: better at once, and with the reason. */
  #answer(what: string, encode: (adapter: WireAdapter) => WireFrames | undefined, whose = "the adapter's"): void {
    try {
      this.write(encode(this.adapter))
    } catch (cause) {
      this.drop(broken(`${whose} ${what}()`, cause))
    }
  }

  #tooLate(): void {
    if (this.#state === 'dialling') {
      this.drop(undialled)
      this.#handle?.terminate()
      return
    }
    const { helloTimeoutCode } = this.adapter.traits
    this.drop(unanswered(helloTimeoutCode))
    // Where the protocol wants a word about it, the closing handshake is let go, but nobody waits for it.
    if (helloTimeoutCode === undefined) this.#handle?.terminate()
    else this.#handle?.hold?.(false)
  }

  #leave(): void {
    this.#state = 'over'
    this.#dialling?.abort()
    this.#beat?.clear()
    this.#patience?.clear()
    this.#heartbeat?.stop()
    this.congestion?.stop()
  }
}
