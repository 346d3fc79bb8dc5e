import { Context, createContextKey } from './context.ts'

/**
 * One run of a token source. Calls that it makes (a refresh by the same client) must not wait for its token: they carry
 * the run in their context, and pass auth without a credential.
 */
export interface TokenRun {
  /** Whose run it is. */
  readonly source: object
  /** The run that made the call which asked for this token. */
  readonly outer: TokenRun | undefined
  /** It has given its token: what is called from now on is no part of it. */
  isOver: boolean
  /** Calls of this run that are under way. */
  calls: number
  /** The turn of the microtasks in which it began. */
  readonly turn: number
}

/** What follows a piece of work through everything that it awaits: Node's AsyncLocalStorage fits. */
export interface AsyncContext<T> {
  run<A extends unknown[], R>(value: T, work: (...args: A) => R, ...args: A): R
  getStore(): T | undefined
}

const key = /* @__PURE__ */ createContextKey<TokenRun | undefined>(undefined)
/** What others ask of a call's run; nothing until there is a source whose runs are told apart. */
export const tokenRuns: {
  /** {@link withTokenRun} */
  contextOf?: (context: Context) => Context
  /** {@link tokenRunOf} */
  runOf?: (context: Context) => TokenRun | undefined
} = {}
let running: TokenRun | undefined
let ambient: AsyncContext<TokenRun> | undefined

/** Lets runs be told by async context from now on, where the platform has one. */
export function followTokenRuns(create: (() => AsyncContext<TokenRun>) | undefined): void {
  ambient ??= create?.()
  tokenRuns.contextOf = withTokenRun
  tokenRuns.runOf = tokenRunOf
}

/**
 * Runs a part of a token source: calls that it starts before it returns, or anywhere in its async context, are its own.
 *
 * @param isFollowed - false for a source that has never been asynchronous: entering an async context would cost it more
 * than all the rest.
 */
export function runTokenSource<T>(run: TokenRun, work: () => T, isFollowed = true): T {
  const before = running
  running = run
  try {
    return ambient && isFollowed ? ambient.run(run, work) : work()
  } finally {
    running = before
  }
}

/** The context of a call that starts now: names the run of a token source that starts it. */
export function withTokenRun(context: Context): Context {
  const run = running ?? ambient?.getStore()
  return run === undefined || run.isOver ? context : context.with(key, run)
}

/** The context that a token source may give to its calls. */
export function contextOfRun(context: Context, run: TokenRun): Context {
  return context.with(key, run)
}

/** The run of `source` that a call belongs to, directly or through another source; undefined for an ordinary call. */
export function tokenRunOf(context: Context, source?: object): TokenRun | undefined {
  if (context === Context.empty) return undefined
  for (let run = context.get(key); run; run = run.outer)
    if (!run.isOver && (!source || run.source === source)) return run
  return undefined
}

/** A call waited for a token whose source was at work when the call began: the source itself may make it. */
export class SelfWait extends Error {}
