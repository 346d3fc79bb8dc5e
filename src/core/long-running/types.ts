import type { CallOptions, QueryContext } from '../call/call-options.ts'
import type { Signal } from '../call/signal.ts'
import type { Failure } from '../errors/failure.ts'

/** How a run of a long-running operation stands. */
export type RunStatus = 'running' | 'succeeded' | 'failed' | 'canceled'

/** A run as plain JSON: what `JSON.stringify(run)` writes, and `revive()` of the same operation reads in another process. */
export interface RunToken {
  readonly v: 1
  /** The operation that started it. */
  readonly operation: string
  readonly id: string
  /** Where it is asked for; a server may have put a secret of its own into that URL. */
  readonly place: unknown
}

/** How long one waits for a run. */
export interface WaitOptions {
  /** Ends the waiting with the signal's reason; the run itself goes on at the server. */
  readonly signal?: Signal | undefined
  /** How long the caller waits; ms. @defaultValue for ever */
  readonly timeoutMs?: number | undefined
  /** A point in time (a Date, or ms since 1970) at which the waiting ends. @defaultValue none */
  readonly deadline?: { getTime(): number } | number | undefined
}

/** What of call options each request of a run is made with. */
export type RunCallOptions = Pick<CallOptions, 'headers' | 'context' | 'timeoutMs'>

/**
 * One run of a long-running operation, on its way at the server. Nothing is asked while nobody waits for it: a run that
 * is dropped leaves no timer, and the server goes on.
 */
export interface Run<Result, Progress = unknown> {
  /** What the server calls it; where it says no name, the last segment of its URL. */
  readonly id: string
  /** As it was last heard of. */
  readonly status: RunStatus
  /** What the server said last of its progress. */
  readonly lastProgress: Progress | undefined
  /**
   * What the server says of its progress, as often as that changes, the latest first; ends with the run, whatever came
   * of it. A slow reader is given the latest, not every one. Any number may read it.
   *
   * @throws {CallError} where the server cannot be asked any more.
   */
  readonly progress: AsyncIterable<Progress>
  /**
   * Waits for the result; any number may wait, and the server is asked once for all of them.
   *
   * @throws {CallError} with `runStatus: 'failed'` or `'canceled'` where the run ended so; with `'running'` where it goes
   * on and cannot be waited for any longer: `result()` may be called again.
   */
  result(options?: WaitOptions): Promise<Result>
  /** Asks the server now, once. @throws {CallError} where it cannot be asked. */
  poll(options?: CallOptions): Promise<RunStatus>
  /**
   * Asks the server to give it up; resolves when the server has taken that, and `result()` tells what came of it. Nothing
   * is sent for a run that is over.
   *
   * @throws {CallError} `unimplemented`, unsent, where the server says no way to.
   */
  cancel(options?: CallOptions): Promise<void>
  /**
   * Takes what came of it by another way (a queue, a webhook of your own); without a document the server is asked at once
   * by whoever waits.
   *
   * @param document - as the server's own status documents are.
   * @throws {CallError} `internal` where it cannot be read.
   */
  update(document?: unknown): Promise<void>
  toJSON(): RunToken
}

/** The input may be left out when every name in it is optional. */
type RunArgs<In> = {} extends In
  ? [input?: In | undefined, options?: CallOptions | QueryContext | undefined]
  : [input: In, options?: CallOptions | QueryContext | undefined]

/** A call that the server carries out while its caller waits, or does something else. */
export interface LongRunning<In, Result, Progress = unknown> {
  /**
   * Starts a run, and waits for its result. `timeoutMs` bounds each request; `signal` and `deadline` bound the whole.
   *
   * @throws {CallError} as `start()` and `result()`.
   */
  (...args: RunArgs<In>): Promise<Result>
  /** Starts a run. @throws {CallError} where it could not be started. */
  start(...args: RunArgs<In>): Promise<Run<Result, Progress>>
  /**
   * Goes on with a run of this operation that another process, or an earlier life of this one, has started.
   *
   * @param token - what `JSON.stringify(run)` wrote, parsed or as it is.
   * @throws {CallError} `invalid_argument` where it is no run of this operation.
   */
  revive(token: RunToken | string, options?: RunCallOptions): Run<Result, Progress>
}

/** How often a run is asked for, where the server says no Retry-After. */
export interface PollPace {
  /** The first wait, give or take a quarter; half as long again each time; ms. @defaultValue 1_000 */
  readonly minMs?: number | undefined
  /** The longest wait; and the one while a stream or a callback tells of it; ms. @defaultValue 30_000 */
  readonly maxMs?: number | undefined
  /** Polls in a row that fail transiently, each with all its attempts, before those who wait are told. @defaultValue 10 */
  readonly maxFailures?: number | undefined
}

/** What is known of a run where something is asked by it. */
export interface RunFacts {
  readonly id: string
  /** Where its status is asked for; empty where that is no URL. */
  readonly url: string
  /** The last status document. */
  readonly document: any
}

/** What one answer, event or callback says of a run. */
export interface RunState {
  readonly status: RunStatus
  readonly id: string
  /** Where it is asked for next: anything that JSON holds. */
  readonly place: unknown
  readonly url?: string | undefined
  readonly document?: unknown
  readonly progress?: unknown
  /** A wait that the server asked for; ms. */
  readonly retryAfterMs?: number | undefined
  /** Of one that failed or was canceled. */
  readonly failure?: Failure | undefined
}

/** How the runs of one operation are started and asked for: what a protocol brings. */
export interface RunDriver {
  /** @throws {CallError} where it could not be started. */
  start(input: unknown, options: CallOptions): Promise<RunState>
  poll(state: RunState, options: CallOptions): Promise<RunState>
  /** Reads a status document that came by another way. @throws {CallError} where it is none. */
  read(document: unknown, state: RunState): RunState | Promise<RunState>
  /** The result of a run that succeeded. */
  result(state: RunState, options: CallOptions): Promise<unknown>
  /** The result can be given to several, so that it is fetched once. */
  readonly isResultShared: boolean
  cancel(state: RunState, options: CallOptions): Promise<void>
  /** The run that stands where a token says; undefined where that is no place of this operation. */
  revive(id: string, place: unknown): RunState | undefined
}
