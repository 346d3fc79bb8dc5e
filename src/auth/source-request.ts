import type { Call } from '../core/call/call.ts'
import type { Context } from '../core/call/context.ts'
import { contextOfRun, type TokenRun } from '../core/call/token-run.ts'
import type { TokenRequest } from './bearer.ts'

/** What the source is told. */
export class SourceRequest implements TokenRequest {
  // Declared only: the constructor assigns each.
  declare readonly reason: TokenRequest['reason']
  declare readonly rejected: string | undefined
  declare readonly identity: string
  readonly #context: Context
  readonly #run: TokenRun

  constructor(reason: TokenRequest['reason'], rejected: string | undefined, call: Call, run: TokenRun) {
    this.reason = reason
    this.rejected = rejected
    this.identity = call.identity
    this.#context = call.context
    this.#run = run
  }

  /** Made where it is asked for, which is hardly ever. */
  get context(): Context {
    return contextOfRun(this.#context, this.#run)
  }
}
