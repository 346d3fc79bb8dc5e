import type { Call } from '../../src/core/call/call.ts'
import { principalOf } from '../../src/core/call/credential.ts'
import type { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Services } from '../../src/core/call/scope.ts'
import type { Phase, Sent } from '../../src/core/errors/failure.ts'
import { checkOptions, flag, type RulesOf } from '../../src/core/options.ts'
import type { Armed } from '../../src/core/time/clock.ts'
import type {
  HttpControl,
  HttpEngine,
  HttpFault,
  HttpHead,
  HttpRequest,
  HttpScope,
  HttpSink,
} from '../http/contract.ts'
import { EventBoundary } from '../http/event-stream/boundary.ts'
import { kindOf } from '../http/event-stream/errors.ts'
import { callOver } from '../http/fault.ts'
import type { SseHints } from './hints.ts'
import { type Joined, Member, type Shared } from './member.ts'
import type { SseBinding } from './operation.ts'

/** One reader that wants an event stream. */
export interface SseReader {
  readonly call: Call
  /** By {@link SseShare.keyOf}: the same for all that may read one connection. Undefined: no other. */
  readonly key: string | undefined
  /** Where the reader goes on; undefined for one that begins. */
  readonly after: string | undefined
  /** What it misses can be had again. */
  canResume(): boolean
}

/** How readers of one event stream come together. */
export interface SseShareOptions {
  /** `start`: who is there before the first byte, and so misses none. `live`: who comes later, too. */
  readonly joining: 'start' | 'live'
  /** Counts the connections. */
  readonly crowd: Pick<SseHints, 'came' | 'left'> | undefined
}

/** What a transport lets its readers come together by. */
export type SseSharing = Pick<SseShare, 'for' | 'keyOf'>

/** What {@link sharing} makes. */
export interface SseShares extends StreamSharing {
  start(engine: Pick<HttpEngine, 'send'>, crowd: SseShareOptions['crowd']): SseSharing
}

/** How calls come together on one connection; see `sharing`. */
export interface StreamSharing {
  /** Who joins. */
  readonly joining: 'start' | 'live'
}

/** Who shares. */
export interface SharingOptions {
  /** Readers that come later join, too: they get what comes from then on, and not what the server sends first. @defaultValue false */
  readonly live?: boolean | undefined
}

const rules: RulesOf<SharingOptions> = { live: flag }

/**
 * Lets calls with the same URL, the same headers and the same principal (`auth.identity`) read one connection, since
 * browsers have six for an origin over HTTP/1.1: those who come before its first byte, who miss nothing.
 *
 * Each reader has a queue of its own; one that is too slow for the others goes on alone, after its cursor. GET only,
 * without a declared `resume: { cursor, apply }`.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * sseTransport({ baseUrl: '/api', share: sharing() })
 */
export function sharing(options: SharingOptions = {}): StreamSharing {
  checkOptions('sharing()', options, rules)
  const joining = options.live ? 'live' : 'start'
  const shares: SseShares = { joining, start: (engine, crowd) => new SseShare(engine, { joining, crowd }) }
  return shares
}

/** The connections of one transport, each read by all that ask for the same. */
export class SseShare {
  readonly #engine: Pick<HttpEngine, 'send'>
  readonly #options: SseShareOptions
  readonly #streams = new Map<string, SharedStream[]>()

  constructor(engine: Pick<HttpEngine, 'send'>, options: SseShareOptions) {
    this.#engine = engine
    this.#options = options
  }

  /**
   * What two calls have in common that may read one connection: whose they are, and their request without its cursor.
   * Undefined for a call that none can be shared with.
   */
  keyOf(call: Call, make: (call: Call) => HttpRequest): string | undefined {
    const { binding, resume } = call.operation
    if ((binding as SseBinding).method !== 'GET' || resume) return undefined
    const { url, headers } = make(call.with({ cursor: undefined, isReopen: false, credential: undefined }))
    return JSON.stringify([principalOf(call), url, headers])
  }

  /** What sends the request of a reader, or lets it join those that have sent the same. */
  for(reader: SseReader): Pick<HttpEngine, 'send'> {
    return { send: (request, sink, scope) => this.#send(reader, request, sink, scope) }
  }

  #send(reader: SseReader, request: HttpRequest, sink: HttpSink, scope: HttpScope): void {
    if (scope.isOver) {
      sink.onError(callOver)
      return
    }
    const { key, after, call } = reader
    const { crowd } = this.#options
    const { services } = call.scope
    const joined = { sink, scope, after, canResume: () => reader.canResume() }
    const old = this.#find(key, after, services.clock.now())
    if (old) {
      old.join(joined)
      return
    }
    const stream = new SharedStream(after, services, () => {
      this.#forget(key, stream)
      crowd?.left()
    })
    if (key !== undefined) this.#streams.set(key, [...(this.#streams.get(key) ?? []), stream])
    crowd?.came(call)
    stream.join(joined)
    this.#engine.send(request, stream, stream)
  }

  #find(key: string | undefined, after: string | undefined, now: number): SharedStream | undefined {
    const { joining } = this.#options
    if (key === undefined) return undefined
    return this.#streams.get(key)?.find((each) => each.accepts(after, joining, now))
  }

  #forget(key: string | undefined, stream: SharedStream): void {
    if (key === undefined) return
    const left = (this.#streams.get(key) ?? []).filter((each) => each !== stream)
    if (left.length > 0) this.#streams.set(key, left)
    else this.#streams.delete(key)
  }
}

/** How long a reader whose queue is full may hold up the others; ms. */
const patienceMs = 100
/** What one connection has brought is kept this long for those who were on the connection before; ms and bytes. */
const heldMs = 60_000
const heldBytes = 262_144

const outrun: HttpFault = {
  phase: 'body',
  sent: 'yes',
  what: 'the reader is slower than others of the same stream: it goes on alone',
  cause: undefined,
}
const lost: HttpFault = {
  phase: 'body',
  sent: 'yes',
  what: 'the reader is slower than others of the same stream, which has no ids to go on after',
  hint: 'read faster, have the server send ids, or leave share out',
  code: 'resource_exhausted',
  cause: undefined,
}

/**
 * One connection that several read: each gets all bytes into a queue of its own. Who holds the others up for too long
 * leaves, and goes on after its cursor on another one; when the last one has left, the connection is closed.
 */
class SharedStream implements HttpSink, HttpScope, Shared {
  /** Replaced, never changed: they come and go while they are being told. */
  #members: readonly Member[] = []
  readonly #after: string | undefined
  readonly #services: Services
  readonly #onOver: () => void
  readonly #openedAt: number
  readonly #boundary = new EventBoundary()
  /** All that came, for those who go on after the same cursor. */
  #held: Uint8Array[] | undefined
  #heldBytes = 0
  #hasBytes = false
  #isTrusted = true
  #isPaused = false
  /** What ends the patience with those who hold the others up. */
  #patience: Armed | undefined
  #progress: [Phase, Sent] = ['resolve', 'no']
  #head: HttpHead | undefined
  #control: HttpControl | undefined
  #abort: ((reason: unknown) => void) | undefined
  #isOver = false

  /** @param after - the cursor that the request carries. */
  constructor(after: string | undefined, services: Services, onOver: () => void) {
    this.#after = after
    this.#services = services
    this.#onOver = onOver
    this.#openedAt = services.clock.now()
    if (after !== undefined) this.#held = []
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Whether a reader that goes on after `after` misses nothing here; one that begins may do so anywhere, if `live`. */
  accepts(after: string | undefined, joining: 'start' | 'live', now: number): boolean {
    if (this.#isOver || !this.#isTrusted || (this.#head && kindOf(this.#head) !== 'stream')) return false
    const isSame = after === this.#after
    if (after !== undefined) return isSame && this.#held !== undefined && now - this.#openedAt < heldMs
    return (isSame && !this.#hasBytes) || (joining === 'live' && this.#head !== undefined)
  }

  join(joined: Joined): void {
    const isLate = this.#hasBytes && joined.after === undefined
    const member = new Member(joined, this, isLate && !this.#boundary.isBetweenEvents)
    this.#members = [...this.#members, member]
    member.start()
    joined.scope.mark(...this.#progress)
    if (!this.#head) return
    joined.sink.onHead(this.#head, member)
    if (!isLate) for (const bytes of this.#held ?? []) member.read(bytes, this.#boundary)
    this.pace()
  }

  /** Nobody is to join any more: it may be dead. */
  distrust(): void {
    this.#isTrusted = false
  }

  leave(member: Member, reason: unknown): void {
    this.#members = this.#members.filter((each) => each !== member)
    if (this.#members.length > 0) this.pace()
    else this.#close(reason)
  }

  onAbort(listener: (reason: unknown) => void): () => void {
    this.#abort = listener
    return () => {
      this.#abort = undefined
    }
  }

  mark(phase: Phase, sent: Sent): void {
    this.#progress = [phase, sent]
    for (const { joined } of this.#members) joined.scope.mark(phase, sent)
  }

  endIfLate(): boolean {
    for (const { joined } of [...this.#members]) joined.scope.endIfLate()
    return this.#members.length === 0
  }

  onHead(head: HttpHead, control: HttpControl): void {
    this.#head = head
    this.#control = control
    for (const member of this.#members) member.joined.sink.onHead(head, member)
  }

  onData(bytes: Uint8Array): void {
    this.#hasBytes = true
    this.#hold(bytes)
    for (const member of this.#members) member.read(bytes, this.#boundary)
    this.#boundary.passed(bytes)
    this.pace()
  }

  onEnd(trailers: HeaderMap): void {
    this.#over((sink) => sink.onEnd(trailers))
  }

  onError(fault: HttpFault): void {
    this.#over((sink) => sink.onError(fault))
  }

  /** A reader whose queue is full stops the wire: for as long as it takes where nobody else waits, else not for long. */
  pace(): void {
    if (this.#isOver) return
    const paused = this.#members.filter((member) => member.isPaused)
    const isAnyoneStalled = paused.length > 0 && paused.length < this.#members.length
    if (isAnyoneStalled) this.#patience ??= this.#services.deadlines.add(this.#now() + patienceMs, () => this.#outrun())
    else this.#forgive()
    if (paused.length > 0 === this.#isPaused) return
    this.#isPaused = !this.#isPaused
    if (this.#isPaused) this.#control?.pause()
    else this.#control?.resume()
  }

  /** Those who still hold the others up leave. */
  #outrun(): void {
    this.#patience = undefined
    const stalled = this.#members.filter((member) => member.isPaused)
    this.#members = this.#members.filter((member) => !member.isPaused)
    this.pace()
    for (const member of stalled) member.end((sink) => sink.onError(member.joined.canResume() ? outrun : lost))
  }

  #forgive(): void {
    if (this.#patience) this.#services.deadlines.remove(this.#patience)
    this.#patience = undefined
  }

  #now(): number {
    return this.#services.clock.now()
  }

  #hold(bytes: Uint8Array): void {
    if (!this.#held) return
    this.#heldBytes += bytes.byteLength
    if (this.#heldBytes > heldBytes || this.#now() - this.#openedAt > heldMs) this.#held = undefined
    else this.#held.push(bytes)
  }

  #close(reason: unknown): void {
    if (this.#isOver) return
    this.#end()
    if (this.#control) this.#control.cancel()
    else this.#abort?.(reason)
  }

  #end(): void {
    this.#isOver = true
    this.#forgive()
    this.#onOver()
  }

  #over(tell: (sink: HttpSink) => void): void {
    if (this.#isOver) return
    this.#end()
    const members = this.#members
    this.#members = []
    for (const member of members) member.end(tell)
  }
}
