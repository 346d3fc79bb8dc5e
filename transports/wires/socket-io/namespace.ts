import type { Failure } from '../../../src/core/errors/failure.ts'
import type { Incoming, Wire, WireCursor, WireFrame, WireFrames } from '../../socket/wire-adapter.ts'

/** Events that may come for a namespace before its stream does, after a drop. */
const maxEarly = 1024

/** The place of the last event of each namespace, by session: what a request that is first on a new socket joins it with. */
const places = /* @__PURE__ */ new WeakMap<object, Map<string, WireCursor>>()

/**
 * One namespace on one connection: joined for a channel, for requests, or for both.
 *
 *     new ──subscribe or request──▶ joining ──CONNECT──▶ joined
 */
export class Namespace {
  readonly name: string
  readonly #wire: Wire
  readonly #isOffset: (last: string) => boolean
  #state: 'new' | 'joining' | 'joined' = 'new'
  /** Who waits for the answer, with the places that they ask for. */
  readonly #waiting = new Map<number, WireCursor | undefined>()
  /** There is a stream; none where only requests have joined. */
  #isSubscribed = false
  /** The place that the server was asked to go on from. */
  asked: WireCursor | undefined
  #recovered: boolean | undefined
  /** Of the session on the server, where it recovers connections. */
  #pid: string | undefined
  /** What came while nobody could take it: the server sends what was missed before it says that it is connected. */
  #early: Incoming[] | undefined = []
  /** Requests: what waits for the connection, or nothing where it is written. */
  readonly #requests = new Map<number, readonly WireFrame[] | undefined>()

  constructor(name: string, wire: Wire, isOffset: (last: string) => boolean) {
    this.name = name
    this.#wire = wire
    this.#isOffset = isOffset
  }

  get #places(): Map<string, WireCursor> {
    let known = places.get(this.#wire.session)
    if (!known) {
      known = new Map()
      places.set(this.#wire.session, known)
    }
    return known
  }

  subscribe(ref: number, since: WireCursor | undefined, connect: () => WireFrames): WireFrames {
    const frames = this.#state === 'new' ? this.#join(since?.epoch === undefined ? undefined : since, connect) : []
    this.#waiting.set(ref, since)
    // Not at once, since nothing may come for it before it is accepted.
    if (this.#state === 'joined')
      queueMicrotask(() => {
        for (const each of this.#accept()) this.#wire.receive(each)
      })
    return frames
  }

  /** Says whether the namespace is to be left: not while it is being joined, nor while requests are under way. */
  unsubscribe(): boolean {
    this.#isSubscribed = false
    this.#waiting.clear()
    this.#places.delete(this.name)
    this.#early = undefined
    return this.#state === 'joined' && this.isUnneeded
  }

  /** Nobody has stayed. */
  get isUnneeded(): boolean {
    return !this.#isSubscribed && this.#waiting.size === 0 && this.#requests.size === 0
  }

  request(ref: number, frames: readonly WireFrame[], connect: () => WireFrames): WireFrames {
    const isJoined = this.#state === 'joined'
    // The stream that comes back later asks for the same place.
    const before = this.#state === 'new' ? this.#join(this.#places.get(this.name), connect) : []
    this.#requests.set(ref, isJoined ? undefined : frames)
    return isJoined ? frames : before
  }

  /** The caller has gone. */
  forget(ref: number): void {
    this.#requests.delete(ref)
  }

  #join(place: WireCursor | undefined, connect: () => WireFrames): WireFrames {
    this.asked = place
    const frames = connect()
    this.#state = 'joining'
    return frames
  }

  connected({ pid }: { readonly pid?: unknown }): Incoming[] {
    this.#state = 'joined'
    this.#pid = typeof pid === 'string' ? pid : undefined
    this.#recovered = this.asked && this.asked.epoch === this.#pid
    const said = this.#accept()
    for (const [ref, frames] of this.#requests) {
      if (frames) said.push({ kind: 'answer', frames })
      this.#requests.set(ref, undefined)
    }
    return said
  }

  event([event, ...args]: readonly unknown[], id: number | undefined): Incoming | undefined {
    const last = args.at(-1)
    const isPlaced = id === undefined && this.#isRecovering && typeof last === 'string' && this.#isOffset(last)
    // One without an epoch belongs to that of the message before it.
    const at = isPlaced ? { id: last, epoch: this.#pid ?? (this.asked?.epoch as string) } : undefined
    if (isPlaced) args.pop()
    const message = id === undefined ? { event, args } : { event, args, id }
    const incoming: Incoming = { kind: 'data', topic: this.name, message, at }
    const isTaken = this.#state === 'joined' && this.#isSubscribed
    if (isTaken && at) this.#places.set(this.name, at)
    if (isTaken) return incoming
    this.#keep(incoming)
    return undefined
  }

  ack(ref: number, args: readonly unknown[]): Incoming {
    this.#requests.delete(ref)
    return { kind: 'ack', ref, message: args.length > 1 ? args : args[0] }
  }

  refused(failure: Failure): Incoming[] {
    const said = this.#unanswered(failure)
    // One that was joined: nothing more comes for its stream.
    return this.#isSubscribed ? [...said, { kind: 'error', topic: this.name, failure }] : said
  }

  #unanswered(failure: Failure): Incoming[] {
    return [...this.#waiting.keys(), ...this.#requests.keys()].map((ref) => ({ kind: 'error', ref, failure }))
  }

  /** The server has put this client out. */
  disconnected(): Incoming[] {
    const message = 'the server disconnected the namespace before it answered'
    const failure: Failure = { code: 'unavailable', message, isRetryable: true }
    this.#places.delete(this.name)
    return [...this.#unanswered(failure), { kind: 'end', topic: this.name }]
  }

  get #isRecovering(): boolean {
    return this.#pid !== undefined || this.asked !== undefined
  }

  /** Missed events have been sent from `asked` on: good for a stream, where that is its own place, too. */
  #accept(): Incoming[] {
    if (this.#waiting.size === 0) return []
    const early = this.#early
    // Before the first event there is a place, too: what comes after it and is missed is told.
    const first = this.#pid === undefined ? undefined : { id: '', epoch: this.#pid }
    const said: Incoming[] = []
    let isReplayed = false
    for (const [ref, since] of this.#waiting) {
      const isSame = since?.id === this.asked?.id && since?.epoch === this.asked?.epoch
      const recovered = since && this.#recovered === true && isSame && early !== undefined
      said.push({ kind: 'ack', ref, at: recovered ? since : first, recovered })
      isReplayed ||= since !== undefined || this.asked === undefined
      if (recovered) this.#places.set(this.name, since)
    }
    this.#early = undefined
    this.#waiting.clear()
    this.#isSubscribed = true
    if (!isReplayed) return said
    for (const each of early ?? []) if (each.kind === 'data' && each.at) this.#places.set(this.name, each.at)
    return [...said, ...(early ?? [])]
  }

  #keep(incoming: Incoming): void {
    // For requests alone nothing is kept: no stream has asked for a place.
    if (this.#state === 'joined' && !this.asked) return
    if (this.#early && this.#early.length < maxEarly) this.#early.push(incoming)
    else this.#early = undefined
  }
}
