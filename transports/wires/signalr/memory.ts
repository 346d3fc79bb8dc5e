import type { Incoming, WireCursor, WireFrame } from '../../socket/wire-adapter.ts'
import { type HubMessage, kinds, separator } from './messages.ts'

/** So many messages are kept for a subscription that has not come back after a drop. */
const maxEarly = 1024
/** The server stops sending at 100,000 bytes that nobody has acknowledged: long before that it is told. */
const ackEvery = { messages: 64, bytes: 16_384 }
/** What may be out unacknowledged; beyond, a drop costs the connection its state; characters. */
const maxUnacked = 1 << 20

const maxAttempts = 5

/** A message of a subscription, with its number on the connection. */
interface Numbered {
  readonly sequence: number
  readonly message: unknown
}

/** What one target, or one stream, has received; it outlives a drop where the connection does. */
export class Received {
  /** What came after this message can be handed on again. */
  #place: number
  /** The messages after that, from the first drop on. */
  #early: Numbered[] | undefined
  /** It has ended meanwhile: this is told behind the messages. */
  #end: ((ref: number) => Incoming) | undefined

  constructor(place: number) {
    this.#place = place
  }

  /** More has come than is kept. */
  isOverrun = false

  /** A drop: from here on is kept what comes, since it may come before the stream is back. */
  dropped(): void {
    this.#early ??= []
  }

  add(sequence: number, message: unknown): void {
    const early = this.#early
    if (!early) this.#place = sequence
    else if (early.push({ sequence, message }) > maxEarly) {
      this.isOverrun = true
      this.#place = early.shift()?.sequence ?? sequence
    }
  }

  ended(end: (ref: number) => Incoming): void {
    this.#end = end
  }

  /** What came after a place; undefined where that is not known any more. */
  after(place: number): readonly Numbered[] | undefined {
    return place < this.#place ? undefined : (this.#early ?? []).filter(({ sequence }) => sequence > place)
  }

  endFor(ref: number): readonly Incoming[] {
    return this.#end ? [this.#end(ref)] : []
  }
}

/** An invocation of a stream that the server is at. */
export interface Running {
  readonly topic: string
  /** Its arguments, as JSON. */
  readonly payload: string
  readonly received: Received
  /** Of the subscription on this connection; undefined while it has not come back. */
  ref: number | undefined
}

/**
 * What a session remembers over its connections: with stateful reconnect the server keeps the connection, and both sides
 * send again what the other has not acknowledged.
 */
export class Memory {
  /** Where the connection is, and its public name; undefined: none that could be gone on with. */
  connection: { readonly url: string; readonly id: string } | undefined
  /** What was subscribed to when the connection was lost. */
  readonly wanted = new Set<string>()
  /** How often it was tried to go on, in a row. */
  attempts = 0
  readonly targets = new Map<string, Received>()
  readonly running = new Map<string, Running>()
  /** The number of the newest message that came. */
  received = 0
  #next = 1
  #sent = 0
  #unacked: { readonly id: number; readonly frame: string; readonly isAnothers: boolean }[] = []
  #unackedChars = 0
  #toAck = { messages: 0, bytes: 0 }

  /**
   * Where to go on, if there is anything to go on with. A network that is away for some seconds costs attempts, and the
   * server waits; one that does not know the connection any more cannot be told from it everywhere.
   */
  get resumable(): Memory['connection'] {
    return this.wanted.size > 0 && this.attempts < maxAttempts ? this.connection : undefined
  }

  /** Another connection: nothing of the one before is known there. */
  begin(connection: Memory['connection']): void {
    this.connection = connection
    this.attempts = 0
    this.wanted.clear()
    this.targets.clear()
    this.running.clear()
    this.received = this.#sent = this.#unackedChars = 0
    this.#next = 1
    this.#unacked = []
    this.#toAck = { messages: 0, bytes: 0 }
  }

  /** The first words on a socket to the same connection: where this side goes on, and all that was not acknowledged. */
  resume(): WireFrame[] {
    for (const received of this.targets.values()) received.dropped()
    for (const each of this.running.values()) {
      each.received.dropped()
      each.ref = undefined
    }
    const sequenceId = this.#unacked[0]?.id ?? this.#sent + 1
    const sequence = JSON.stringify({ type: kinds.sequence, sequenceId }) + separator
    return [sequence, ...this.#unacked.map(({ frame }) => frame)]
  }

  /** The server's own words to that; false where messages are missing. */
  resumed(sequenceId: number): boolean {
    const isWhole = sequenceId <= this.#next
    this.attempts = 0
    this.#next = sequenceId
    return isWhole
  }

  /** Counts a message that came; says its number, or undefined where it was seen. */
  count(size: number): number | undefined {
    const sequence = this.#next++
    this.#toAck.messages++
    this.#toAck.bytes += size
    if (sequence <= this.received) return undefined
    this.received = sequence
    return sequence
  }

  /** Forgets the invocation of a stream; says its id. */
  stop(subscription: number): string | undefined {
    // One that has come back after a drop has a number of before; the others need not be looked for.
    const own = `${subscription}`
    if (this.running.get(own)?.ref === subscription && this.running.delete(own)) return own
    for (const [invocationId, { ref }] of this.running)
      if (ref === subscription && this.running.delete(invocationId)) return invocationId
    return undefined
  }

  /** An acknowledgement, where one is due. */
  ack(isUrgent: boolean): WireFrame | undefined {
    const { messages, bytes } = this.#toAck
    const isDue = messages >= ackEvery.messages || bytes >= ackEvery.bytes || (isUrgent && messages > 0)
    if (!this.connection || !isDue) return undefined
    this.#toAck = { messages: 0, bytes: 0 }
    return JSON.stringify({ type: kinds.ack, sequenceId: this.received }) + separator
  }

  /**
   * A message that goes out: sent again on the next socket, until it is acknowledged.
   *
   * @param isAnothers - somebody else sends it again where this socket could not take it.
   */
  send(frame: string, isAnothers: boolean): string {
    if (!this.connection) return frame
    this.#unacked.push({ id: ++this.#sent, frame, isAnothers })
    this.#unackedChars += frame.length
    if (this.#unackedChars > maxUnacked) this.connection = undefined
    return frame
  }

  /** The socket could not take it. */
  unsent(frame: WireFrame): void {
    const last = this.#unacked.at(-1)
    if (!last?.isAnothers || last.frame !== frame) return
    this.#unacked.pop()
    this.#unackedChars -= frame.length
    this.#sent--
  }

  acked({ sequenceId = 0 }: HubMessage): void {
    while (this.#unacked[0] && this.#unacked[0].id <= sequenceId)
      this.#unackedChars -= this.#unacked.shift()?.frame.length ?? 0
  }

  /** A place on this connection. */
  place(sequence: number): WireCursor | undefined {
    return this.connection && { id: String(sequence), epoch: this.connection.id }
  }
}
