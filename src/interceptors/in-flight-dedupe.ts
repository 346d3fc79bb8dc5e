import type { Call } from '../core/call/call.ts'
import { type Interceptor, type Next, trusted } from '../core/call/interceptor.ts'
import type { OperationInfo } from '../core/call/operation.ts'
import { discardReply, type Reply } from '../core/call/reply.ts'
import { Scope } from '../core/call/scope.ts'
import { CallError, isAnyCallError } from '../core/errors/error.ts'
import { decide } from '../core/guard.ts'
import { callable, checkOptions, type RulesOf } from '../core/options.ts'
import { perClient } from '../core/policies/per-client.ts'
import { copyOfReply, numberOf, ownError, partitionOf, textOfInput } from '../core/policies/sharing.ts'
import { bounded } from '../core/time/bounded.ts'

/** Which calls share. */
export interface InFlightDedupeOptions {
  /** Whether a call may share, asked of unary calls of idempotent operations; answers at once. @defaultValue those that only read */
  readonly isShared?: ((call: Call) => boolean) | undefined
}

const rules: RulesOf<InFlightDedupeOptions> = { isShared: callable }

/**
 * Calls that only read, of equal input and one identity, share one that is under way: one request, one series of retries.
 *
 * Each keeps its own abort and deadline: whoever leaves takes nobody along, and the request ends with the last one. Each gets a
 * copy of the message, and an error of its own. Streams, bodies that are read as streams, calls with a credential, a
 * progress listener or `retry` options of their own, and operations with several routes share nothing.
 *
 * @throws {CallError} `invalid_argument` where an option is unknown, or is not what it takes.
 * @example
 * createClient({ transports, dedupe: inFlightDedupe() })
 */
export function inFlightDedupe(options: InFlightDedupeOptions = {}): Interceptor {
  checkOptions('inFlightDedupe()', options, rules)
  const { isShared } = options
  const runsOf = perClient(() => new Runs())
  return trusted(function inFlightDedupe(next) {
    return (call) => {
      const isJoined =
        mayShare(call) && (isShared ? decide('inFlightDedupe.isShared()', () => isShared(call), call) : onlyReads(call))
      return isJoined ? runsOf(call.scope.services).join(call, next) : next(call)
    }
  })
}

function mayShare(call: Call): boolean {
  const { operation, options, scope } = call
  const { kind, isIdempotent, failover, isOpenEnded } = operation
  return (
    kind === 'unary' &&
    isIdempotent &&
    !failover &&
    !isOpenEnded &&
    !scope.root.isNested &&
    options.retry === undefined &&
    !options.onUploadProgress &&
    !options.onDownloadProgress
  )
}

/** Two that only read may be one; an idempotent write between two others may not. */
function onlyReads({ operation: { name, isShareable } }: Call): boolean {
  return isShareable ?? /^(?:GET|HEAD|QUERY|OPTIONS|query) /.test(name)
}

/** One request for several calls. */
interface Run {
  readonly scope: Scope
  readonly reply: Promise<Reply>
  /** Of the call that began it: what it may wait, and what the server is told. */
  readonly deadline: number
  waiting: number
}

/** What is under way in one client. */
class Runs {
  readonly #runs = new Map<string, Run>()
  /** Their messages cannot be copied. */
  readonly #unshareable = new WeakSet<OperationInfo>()

  async join(call: Call, next: Next): Promise<Reply> {
    const key = this.#unshareable.has(call.operation) ? undefined : await this.#keyOf(call)
    if (key === undefined) return next(call)
    const { scope } = call
    const run = this.#runs.get(key) ?? this.#begin(key, call, next)
    if (run.waiting++ > 0) scope.services.telemetry?.event?.({ type: 'joined', call })
    // It may be sent by now; how far it is, only the run knows.
    scope.mark('connect', 'maybe')
    const leave = (): void => {
      if (--run.waiting > 0) return
      if (this.#runs.get(key) === run) this.#runs.delete(key)
      run.scope.abort(scope.reason ?? new CallError({ code: 'canceled', message: 'nobody waits for it' }, call))
    }
    const forget = scope.onEnd(leave)
    let reply: Reply | undefined
    try {
      reply = copyOfReply(await bounded(scope, () => run.reply))
    } catch (error) {
      this.#note(run, call)
      if (isLate(error) && call.deadline > run.deadline && !scope.isOver) {
        forget()
        return this.join(call, next)
      }
      throw isAnyCallError(error) && !scope.isOver ? ownError(error, call) : error
    }
    forget()
    this.#note(run, call)
    if (reply) return reply
    this.#unshareable.add(call.operation)
    return next(call)
  }

  #begin(key: string, call: Call, next: Next): Run {
    const scope = new Scope(call.scope.services, undefined, call.operation)
    const reply = bounded(scope, () => next(call.with({ scope })), { discard: discardReply })
    const run: Run = { scope, reply, deadline: call.deadline, waiting: 0 }
    const end = (): void => {
      if (this.#runs.get(key) === run) this.#runs.delete(key)
      scope.end()
    }
    reply.then(end, end)
    this.#runs.set(key, run)
    return run
  }

  /** What the run has cost stands in each call's reply and error. */
  #note({ scope }: Run, call: Call): void {
    const { root } = call.scope
    const { attempts, sends, phase, sent, failures } = scope
    Object.assign(root, { attempts, sends, phase, sent, failures: [...failures] })
  }

  /** Undefined where the call shares with nobody. */
  async #keyOf(call: Call): Promise<string | undefined> {
    const text = textOfInput(call.input)
    const partition = text === undefined ? undefined : await partitionOf(call)
    return partition === undefined ? undefined : `${numberOf(call.operation)} ${partition} ${text}`
  }
}

/** The one that began it had less time. */
function isLate(error: unknown): boolean {
  return isAnyCallError(error) && (error.code === 'deadline_exceeded' || error.notRetried === 'wait_exceeds_deadline')
}
