import type { Call } from '../call/call.ts'
import type { AnyHold } from '../call/operation.ts'
import type { Item } from '../call/reply.ts'
import { CallError } from '../errors/error.ts'
import { checkOptions, count, oneOf, type RulesOf } from '../options.ts'
import { type Gap, gap } from '../stream/gap.ts'
import { opensFirst, type Streaming } from '../stream/streaming.ts'
import { pageLife } from '../time/page-life.ts'
import { StreamCursors } from './cursors.ts'
import { ResumingStream } from './resume-stream.ts'

/** How much of a stream is held back until its cursor comes. */
export interface HoldOptions {
  /** Messages that may wait for their cursor. @defaultValue 1_000 */
  readonly maxMessages?: number | undefined
  /** Their bytes on the wire, where known. @defaultValue 1_048_576 (1 MiB) */
  readonly maxBytes?: number | undefined
  /** `fail` ends the stream with `resource_exhausted`; `release` gives them, and a drop may repeat them. @defaultValue 'fail' */
  readonly onFull?: 'fail' | 'release' | undefined
}

/** What `hold()` makes. */
export interface Hold extends AnyHold {
  /** For one stream. */
  start: MakeCursors
}

/** Makes the cursors of one stream. */
export type MakeCursors = (call: Call, stream: ResumingStream, replayWindow: number | undefined) => CountingCursors

const rules: RulesOf<HoldOptions> = {
  maxMessages: count,
  maxBytes: count,
  onFull: /* @__PURE__ */ oneOf('fail', 'release'),
}

/**
 * Holds messages back until a message with a cursor has come, for servers that send it after the data (Durable Streams):
 * a drop in between repeats nothing, since what was held is asked for again.
 *
 * @throws {CallError} `invalid_argument` where an option is unknown, or is not what it takes.
 * @example
 * events('/streams/{id}', { data: type<Change>(), control: type<Control>() }, {
 *   query: type<{ offset?: string }>(),
 *   resume: {
 *     cursor: (event) => (event.type === 'control' ? event.data.streamNextOffset : undefined),
 *     apply: (input, offset) => ({ ...input, offset }),
 *     hold: hold(),
 *   },
 * })
 */
export function hold(options: HoldOptions = {}): Hold {
  checkOptions('hold()', options, rules)
  const start: MakeCursors = (call, stream, replayWindow) => new HoldingCursors(call, stream, replayWindow, options)
  return {
    start,
    declare: (info) => ({
      ...info,
      streaming: {
        ...(info.streaming as Streaming),
        resume(call, next, resume) {
          const stream = new ResumingStream(call, next, resume, pageLife(), opensFirst(call, next, resume))
          stream.cursors = start(call, stream, resume.replayWindow)
          return stream.open()
        },
      } satisfies Streaming,
    }),
  }
}

/** Nothing is held back: what came behind the last cursor is counted, so that nothing comes again without a word. */
export class CountingCursors extends StreamCursors {
  readonly #call: Call
  readonly #stream: ResumingStream
  /** The last cursor that came in. */
  #cursor: string | undefined
  /** Messages given behind it. */
  #behind = 0
  /** Messages were given twice, or may be. */
  isRepeating = false

  constructor(call: Call, stream: ResumingStream, replayWindow: number | undefined) {
    super(call.operation, replayWindow, call.cursor)
    this.#call = call
    this.#stream = stream
    this.#cursor = call.cursor
  }

  override sift(items: Item[], isLast?: boolean): Item[] {
    const { received } = this.#stream
    const given = this.pass(super.sift(items), received !== this.#cursor, isLast)
    this.#cursor = received
    this.sawGap = given.some(({ isGap }) => isGap)
    return given
  }

  /** @param isAdvanced - a cursor has come since the last time: one that no message bears stands behind all before. */
  protected pass(items: Item[], isAdvanced: boolean, _isLast?: boolean): Item[] {
    if (isAdvanced) this.#behind = 0
    for (const { cursor, isGap } of items) {
      if (cursor !== undefined) this.#behind = 0
      else if (!isGap) this.#behind++
    }
    return items
  }

  override resumed(from: string): Gap | undefined {
    super.resumed(from)
    const repeated = this.#behind
    this.#behind = 0
    if (repeated === 0) return undefined
    this.isRepeating = true
    const { operation, options, scope } = this.#call
    scope.services.telemetry?.event?.({ type: 'repeated', call: this.#call, from, repeated })
    // A snapshot is asked for where something is missing.
    if (operation.gaps !== 'yield' || options.resync) return undefined
    return gap({ reason: 'repeat', from, to: undefined, repeated })
  }

  protected fail(message: string): void {
    const failure = { code: 'resource_exhausted', message, phase: 'stream', sent: 'yes' } as const
    const error = new CallError(failure, this.#call)
    // The reader is taking just now.
    void Promise.resolve().then(() => this.#stream.fail(error))
  }
}

class HoldingCursors extends CountingCursors {
  readonly #options: HoldOptions
  #held: Item[] = []

  constructor(call: Call, stream: ResumingStream, replayWindow: number | undefined, options: HoldOptions) {
    super(call, stream, replayWindow)
    this.#options = options
  }

  protected override pass(items: Item[], isAdvanced: boolean, isLast?: boolean): Item[] {
    const held = this.#held
    const all = held.length > 0 ? held.concat(items) : items
    const last = all.findLastIndex(({ cursor }) => cursor !== undefined)
    // A cursor on its own stands behind what was held, and before what has come now.
    const given = last < 0 && isAdvanced ? held.length : last + 1
    this.#held = isLast === undefined ? all.slice(given) : []
    if (isLast || this.#isOverfull()) return super.pass(all, isAdvanced)
    return super.pass(all.slice(0, given), isAdvanced)
  }

  /** Whether what is held is given without its cursor. */
  #isOverfull(): boolean {
    const { maxMessages = 1000, maxBytes = 1 << 20, onFull = 'fail' } = this.#options
    const { length } = this.#held
    if (length <= maxMessages && this.#held.reduce((sum, { size = 0 }) => sum + size, 0) <= maxBytes) return false
    this.#held = []
    this.isRepeating = onFull === 'release'
    if (!this.isRepeating)
      this.fail(`${length} messages came without a cursor: raise maxMessages and maxBytes of hold(), or set onFull`)
    return this.isRepeating
  }
}
