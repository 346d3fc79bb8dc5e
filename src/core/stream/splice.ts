import type { StreamCursors } from '../resume/cursors.ts'
import type { Gap } from './gap.ts'
import { applyTaps, type Item, type MessageSource, type SourceEnd, type Tap } from './source.ts'

/** What a {@link SpliceSource} asks of who opens its attempts. */
export interface SpliceOwner {
  /** Repeats and gaps are told by these. */
  readonly cursors: StreamCursors
  /** Whether a gap ends the stream, and with what. */
  lossOf(gap: Gap): object | undefined
  /** The stream is over, whatever ended it: close what is waiting or opening. Called once. */
  onEnd(reason: unknown): void
}

/** Messages left by earlier attempts above which no other attempt is opened before the reader has caught up. */
const fullAt = 4096

/**
 * The messages of one stream over all its attempts: what a failed attempt has left comes before what the next one
 * brings, repeats are dropped, and a gap stands where messages are missing.
 */
export class SpliceSource implements MessageSource {
  readonly #owner: SpliceOwner
  #current: MessageSource | undefined
  /** What earlier attempts have left. */
  #backlog: Item[] = nothing
  #received: string | undefined
  #taps: Tap[] | undefined
  #settled: SourceEnd | undefined
  #onSettled: ((end: SourceEnd) => void) | undefined
  #onRoom: (() => void) | undefined
  #wake: (() => void) | undefined
  #waiting: Promise<void> | undefined
  #hasProgressed = false

  constructor(owner: SpliceOwner, received: string | undefined) {
    this.#owner = owner
    this.#received = received
  }

  get cursor(): string | undefined {
    return this.#current?.cursor ?? this.#received
  }

  get end(): SourceEnd | undefined {
    return this.#backlog.length === 0 ? this.#settled : undefined
  }

  /** The attempt that is attached, or was last, has brought something new. */
  get hasProgressed(): boolean {
    return this.#hasProgressed
  }

  /** An attempt is open. */
  attach(source: MessageSource): void {
    this.#current = source
    this.#hasProgressed = false
    this.#notify()
  }

  /** An attempt is over: what it has left is kept. */
  detach(): void {
    const source = this.#current
    if (!source) return
    const left = source.take()
    this.#received = source.cursor ?? this.#received
    this.#current = undefined
    if (left) this.#keep(this.#admit(left))
    this.#notify()
  }

  /** The server does not know the cursor: the next attempt is opened without. */
  forget(): void {
    // Empty: taken back, which the reader is to see, too.
    this.#received = ''
    this.#owner.cursors.clear()
  }

  /** Messages are missing here, or may be; ends the stream where that must not be. */
  lose(gap: Gap): void {
    this.#keep(this.#enforce([{ message: gap, isGap: true }]))
    this.#notify()
  }

  /** The stream is over, once what is left has been taken. */
  settle(end: SourceEnd): void {
    const source = this.#current
    this.detach()
    this.#end(end)
    source?.close(undefined)
  }

  /** Calls `run` once the reader is not far behind: at once, or when it has taken what is left. */
  whenRoom(run: () => void): void {
    if (this.#backlog.length < fullAt) run()
    else this.#onRoom = run
  }

  take(): Item[] | undefined {
    if (this.#backlog.length > 0) return this.#takeBacklog()
    const batch = this.#current?.take()
    const admitted = batch && this.#admit(batch)
    return admitted && admitted.length > 0 ? admitted : undefined
  }

  ready(): Promise<void> {
    if (this.#backlog.length > 0 || this.#settled) return resolved
    if (this.#current && !this.#current.end) return this.#current.ready()
    this.#waiting ??= new Promise((resolve) => {
      this.#wake = resolve
    })
    return this.#waiting
  }

  tap(tap: Tap): void {
    ;(this.#taps ??= []).push(tap)
    this.#backlog = this.#backlog.map(tap).filter((item) => item !== undefined)
  }

  onSettled(listener: (end: SourceEnd) => void): void {
    this.#onSettled = listener
    if (this.#settled) listener(this.#settled)
  }

  close(reason: unknown): void {
    this.#onSettled = undefined
    this.#backlog = nothing
    this.#end({ kind: 'ended' }, reason)
  }

  #keep(items: Item[]): void {
    this.#backlog = this.#backlog.length > 0 ? this.#backlog.concat(items) : items
  }

  #takeBacklog(): Item[] {
    const backlog = this.#backlog
    this.#backlog = nothing
    const onRoom = this.#onRoom
    this.#onRoom = undefined
    onRoom?.()
    return backlog
  }

  #admit(batch: Item[]): Item[] {
    const { cursors } = this.#owner
    const all = cursors.sift(batch)
    const sifted = cursors.sawGap ? this.#enforce(all) : all
    if (sifted.length > 0) this.#hasProgressed = true
    return this.#taps ? sifted.map((item) => applyTaps(this.#taps as Tap[], item)).filter(isPassed) : sifted
  }

  /** Ends the stream before the first gap that must not be. */
  #enforce(items: Item[]): Item[] {
    for (let index = 0; index < items.length; index++) {
      const item = items[index] as Item
      const error = item.isGap && this.#owner.lossOf(item.message as Gap)
      if (!error) continue
      this.#end({ kind: 'failed', error }, error)
      return items.slice(0, index)
    }
    return items
  }

  #end(end: SourceEnd, reason?: unknown): void {
    if (this.#settled) return
    this.#settled = end
    this.#onRoom = undefined
    const source = this.#current
    this.#current = undefined
    source?.close(reason)
    this.#notify()
    this.#onSettled?.(end)
    this.#owner.onEnd(reason)
  }

  #notify(): void {
    const wake = this.#wake
    if (!wake) return
    this.#wake = undefined
    this.#waiting = undefined
    wake()
  }
}

const resolved = Promise.resolve()
/** Never changed: thousands of streams may be open, and have no backlog. */
const nothing: Item[] = []

function isPassed(item: Item | undefined): item is Item {
  return item !== undefined
}
