import type { Call } from '../call/call.ts'
import type { CallError } from '../errors/error.ts'
import type { StreamCursors } from '../resume/cursors.ts'
import type { StreamLosses } from '../resume/losses.ts'
import type { Gap } from './gap.ts'
import { left, ReceiveQueue } from './queue.ts'
import type { Item, MessageSource, SourceEnd, Tap } from './source.ts'

/** What a {@link SpliceSource} asks of who opens its attempts. */
export interface SpliceOwner {
  /** Repeats and gaps are told by these. */
  readonly cursors: StreamCursors
  /** Whether a gap ends the stream, and with what. */
  readonly losses: Pick<StreamLosses, 'errorOf'>
  /** The stream is over, whatever ended it: close what is waiting or opening. Called once. */
  onEnd(reason: unknown): void
}

/** Messages left by earlier attempts above which no other attempt is opened before the reader has caught up. */
const fullAt = 4096

/**
 * The messages of one stream over all its attempts: what a failed attempt has left comes before what the next one
 * brings, repeats are dropped, and a gap stands where messages are missing. Its own queue holds what earlier attempts
 * have left.
 */
export class SpliceSource extends ReceiveQueue implements MessageSource {
  readonly #owner: SpliceOwner
  #current: MessageSource | undefined
  #onRoom: (() => void) | undefined
  /** The attempt that is attached, or was last, has brought something new. */
  hasProgressed = false

  constructor(owner: SpliceOwner, call: Call) {
    super(call)
    this.#owner = owner
    this.cursor = call.cursor
  }

  /** An attempt whose producer ends is taken off at once: where it is over here, an interceptor has closed it. */
  override get end(): SourceEnd | undefined {
    return super.end ?? this.#current?.end
  }

  get isAttached(): boolean {
    return this.#current !== undefined
  }

  /** An attempt is open. */
  attach(source: MessageSource): void {
    this.#current = source
    this.hasProgressed = false
    this.wake()
  }

  /** An attempt is over: what it has left is kept; what is held back, only where the stream ends. */
  detach(isEnd = false): void {
    const source = this.#current
    if (!source) return
    const items = source.take()
    this.cursor = source.cursor ?? this.cursor
    this.#current = undefined
    this.#keep(this.#admitted(this.#owner.cursors.sift(items ?? [], isEnd)))
  }

  /** The server does not know the cursor: the next attempt is opened without. */
  forget(): void {
    // Empty: taken back, which the reader is to see, too.
    this.cursor = ''
    this.#owner.cursors.clear()
  }

  /** Messages are missing here, or may be; ends the stream where that must not be. */
  lose(gap: Gap): void {
    this.#keep(this.#enforce([{ message: gap, isGap: true }]))
  }

  /** Puts in what is no message, behind what earlier attempts have left. */
  put(message: unknown): void {
    this.#keep([{ message, isFinal: true }])
  }

  /** The stream is over, once what is left has been taken. */
  finish(end: SourceEnd): void {
    const source = this.#current
    this.detach(end.kind === 'ended')
    this.#end(end)
    source?.close(undefined)
  }

  /** Calls `run` once the reader is not far behind: at once, or when it has taken what is left. */
  whenRoom(run: () => void): void {
    if (this.items.length < fullAt) run()
    else this.#onRoom = run
  }

  take(): Item[] | undefined {
    if (this.items.length > 0) return this.#takeQueued()
    const current = this.#current
    const batch = current?.take()
    this.cursor = current?.cursor ?? this.cursor
    if (!batch) return undefined
    const { cursors } = this.#owner
    let items = cursors.sift(batch)
    if (cursors.sawGap || this.taps) items = this.#admitted(items)
    if (items.length === 0) return undefined
    this.hasProgressed = true
    return items
  }

  override ready(): Promise<void> {
    const current = this.#current
    return current && this.items.length === 0 && !this.settled ? current.ready() : super.ready()
  }

  tap(tap: Tap): void {
    this.retap(tap)
  }

  close(reason: unknown): void {
    this.items = []
    this.#end(left, reason)
  }

  protected override broken(error: CallError): void {
    this.#end({ kind: 'failed', error }, error)
  }

  #keep(items: Item[]): void {
    this.items = this.items.concat(items)
    this.wake()
  }

  #takeQueued(): Item[] {
    const { items } = this
    this.items = []
    const onRoom = this.#onRoom
    this.#onRoom = undefined
    onRoom?.()
    return items
  }

  /** What of the sifted items the reader gets. */
  #admitted(sifted: Item[]): Item[] {
    const items = this.#owner.cursors.sawGap ? this.#enforce(sifted) : sifted
    if (items.length > 0) this.hasProgressed = true
    return this.taps ? this.#tapAll(items) : items
  }

  /** A tap that throws ends the stream: what comes behind is dropped with it. */
  #tapAll(items: Item[]): Item[] {
    const passed: Item[] = []
    const wasSettled = this.settled
    for (const item of items) {
      const tapped = this.tapped(item)
      if (this.settled !== wasSettled) break
      if (tapped) passed.push(tapped)
    }
    return passed
  }

  /** Ends the stream before the first gap that must not be. */
  #enforce(items: Item[]): Item[] {
    for (let index = 0; index < items.length; index++) {
      const item = items[index] as Item
      const error = item.isGap && this.#owner.losses.errorOf(item.message as Gap)
      if (!error) continue
      this.#end({ kind: 'failed', error }, error)
      return items.slice(0, index)
    }
    return items
  }

  #end(end: SourceEnd | typeof left, reason?: unknown): void {
    if (this.settled) return
    this.#onRoom = undefined
    const source = this.#current
    this.#current = undefined
    source?.close(reason)
    this.settle(end)
    this.#owner.onEnd(reason)
  }
}
