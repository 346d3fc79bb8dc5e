import type { Call } from '../core/call/call.ts'
import { type Interceptor, trusted } from '../core/call/interceptor.ts'
import type { Reply } from '../core/call/reply.ts'
import type { Scope } from '../core/call/scope.ts'
import { tokenRuns } from '../core/call/token-run.ts'
import { CallError } from '../core/errors/error.ts'
import { checkOptions, count, notNegative, oneOf, type RulesOf } from '../core/options.ts'
import { perClient } from '../core/policies/per-client.ts'
import { reasonOf } from '../core/time/bounded.ts'

/** How many attempts there are at once. */
export interface BulkheadOptions {
  /** Attempts under way. @defaultValue 10 */
  readonly maxConcurrent?: number | undefined
  /** Attempts that wait for a place; one more is refused. 0: nobody waits. @defaultValue 100 */
  readonly maxQueue?: number | undefined
  /** What has places of its own. @defaultValue 'origin' */
  readonly scope?: 'client' | 'origin' | 'operation' | undefined
  /** How long a stream, or a body that is read as one, keeps its place: until it is open, or as long as it lives. @defaultValue 'opening' */
  readonly streams?: 'opening' | 'life' | undefined
}

const rules: RulesOf<BulkheadOptions> = {
  maxConcurrent: count,
  maxQueue: notNegative,
  scope: /* @__PURE__ */ oneOf('client', 'origin', 'operation'),
  streams: /* @__PURE__ */ oneOf('opening', 'life'),
}

/**
 * Bounds how many attempts are under way at once; others wait for a place, and identities take turns.
 *
 * Deadline and abort leave the queue. Where it is full an attempt is refused: `resource_exhausted`, unsent. A wait before
 * a retry keeps no place; calls of a token source, and calls made inside of an attempt, need none, since others wait for them.
 *
 * @throws {CallError} `invalid_argument` where an option is unknown, or is not what it takes.
 * @example
 * createClient({ transports, limiter: bulkhead({ maxConcurrent: 20, maxQueue: 200 }) })
 */
export function bulkhead(options: BulkheadOptions = {}): Interceptor {
  checkOptions('bulkhead()', options, rules)
  const { scope: by = 'origin', streams = 'opening' } = options
  const rooms = perClient(() => new Map<string, Places>())
  return trusted(function bulkhead(next) {
    return async (call) => {
      const { scope, operation } = call
      if (scope.root.isNested || tokenRuns.runOf?.(call.context)) return next(call)
      const known = rooms(scope.services)
      const name = by === 'client' ? '' : scope.services.limits.payersOf({ operation })[by]
      let places = known.get(name)
      if (!places) known.set(name, (places = new Places(options)))
      await places.enter(call)
      return keepPlace(scope, places, streams === 'life', () => next(call))
    }
  })
}

/** Gives the place back once, however the attempt ends. */
async function keepPlace(scope: Scope, places: Places, isForLife: boolean, run: () => Promise<Reply>): Promise<Reply> {
  let isKept = true
  const leave = (): void => {
    if (!isKept) return
    isKept = false
    forget()
    places.leave()
  }
  let forget = (): void => {}
  // Whoever leaves, while the attempt has not settled yet.
  forget = scope.onEnd(leave)
  try {
    if (!isKept) throw reasonOf(scope)
    const reply = await run()
    if (isForLife && reply.kind === 'stream') reply.messages.onSettled(leave)
    else if (isForLife && reply.kind === 'unary' && reply.finished) reply.finished.then(leave, leave)
    else leave()
    return reply
  } catch (error) {
    leave()
    throw error
  }
}

interface Waiting {
  readonly identity: string
  readonly admit: () => void
}

/** Places, and who waits for one. */
class Places {
  readonly #maxConcurrent: number
  readonly #maxQueue: number
  #taken = 0
  /** By identity: the first one is next, and goes to the end behind its turn. */
  readonly #queues = new Map<string, Set<Waiting>>()
  #waiting = 0

  constructor({ maxConcurrent = 10, maxQueue = 100 }: BulkheadOptions) {
    this.#maxConcurrent = maxConcurrent
    this.#maxQueue = maxQueue
  }

  /** @throws {CallError} `resource_exhausted` where the queue is full; what the call was aborted with while it waited. */
  enter(call: Call): Promise<void> | undefined {
    if (this.#taken < this.#maxConcurrent) {
      this.#taken++
      return undefined
    }
    if (this.#waiting >= this.#maxQueue) throw this.#refused(call)
    const { identity, scope } = call
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        identity,
        admit: () => {
          forget()
          resolve()
        },
      }
      this.#waiting++
      const queue = this.#queues.get(identity)
      if (queue) queue.add(waiting)
      else this.#queues.set(identity, new Set([waiting]))
      const forget = scope.onEnd(() => {
        this.#remove(waiting)
        reject(reasonOf(scope))
      })
    })
  }

  /** The place goes to whose turn it is. */
  leave(): void {
    const [turn] = this.#queues.values()
    const [next] = turn ?? []
    if (!next) {
      this.#taken--
      return
    }
    this.#remove(next)
    if (turn?.size) {
      this.#queues.delete(next.identity)
      this.#queues.set(next.identity, turn)
    }
    next.admit()
  }

  #remove(waiting: Waiting): void {
    const queue = this.#queues.get(waiting.identity)
    if (!queue?.delete(waiting)) return
    this.#waiting--
    if (queue.size === 0) this.#queues.delete(waiting.identity)
  }

  #refused(call: Call): CallError {
    const message = `the bulkhead is full (${this.#taken} attempts under way, ${this.#waiting} wait); nothing was sent: raise maxConcurrent or maxQueue, or call less`
    return new CallError(
      { code: 'resource_exhausted', message, phase: 'resolve', sent: 'no', isRetryable: true, isLocal: true },
      call,
    )
  }
}
