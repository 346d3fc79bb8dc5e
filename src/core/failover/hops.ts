import type { Call } from '../call/call.ts'
import type { Next } from '../call/interceptor.ts'
import type { OperationInfo } from '../call/operation.ts'
import { inputOf } from '../call/plan.ts'
import type { Reply } from '../call/reply.ts'
import { converted } from '../call/run-unary.ts'
import { type CallError, failureOf, isAnyCallError } from '../errors/error.ts'
import { type ClientRoute, callOn, checkIdentity } from './routes.ts'
import { isThrottled, routeFailureOf } from './verdict.ts'

/** Where a call goes next. */
export interface Target {
  readonly info: OperationInfo
  readonly route: ClientRoute
  /** Another route, at once: nothing is waited for. */
  readonly isHop: boolean
  /** To another origin than the one that has just failed. */
  readonly isElsewhere: boolean
}

/** The way of one call over its routes; `retry` asks, counts, pays and waits. */
export class Hops {
  /** The call as it was made, with the caller's own input. */
  readonly entry: Call
  readonly #routes: readonly ClientRoute[]
  /** What each route is called with: nothing of it changes between attempts. */
  readonly #calls = new Map<ClientRoute, Call>()
  #at!: ClientRoute
  /** Why the route that it stands on is left. */
  #error: CallError | undefined
  /** Routes that have failed since the last wait. */
  readonly #failed = new Set<ClientRoute>()
  /** Routes that may have carried the call out. */
  readonly #mayHaveRun = new Set<ClientRoute>()

  constructor(entry: Call, routes: readonly ClientRoute[]) {
    this.entry = entry
    this.#routes = routes
  }

  /** Each route has its turn. */
  get maxAttempts(): number {
    return Math.max(3, this.#routes.length)
  }

  /** The call on the route to begin with. */
  begin(): Call | Promise<Call> {
    return this.#enter(this.#choose(this.#routes) ?? this.#dueFirst())
  }

  /** What a failed attempt means: another route at once, where that is safe and may help, or a wait. */
  next(error: CallError): Target {
    const at = this.#at
    this.#error = error
    if (error.sent !== 'no' && !failureOf(error).isUnexecuted) this.#mayHaveRun.add(at)
    const isLeft = routeFailureOf(error) !== undefined
    const isBusy = isThrottled(error)
    if (!isLeft && !isBusy) return this.#target(at, false)
    this.#failed.add(at)
    const others = this.#routes.filter((route) => !this.#failed.has(route) && (isLeft || route.origin !== at.origin))
    const hop = this.#choose(others)
    if (hop) return this.#target(hop, true)
    if (isBusy) return this.#target(at, false)
    this.#failed.clear()
    return this.#target(this.#choose(this.#routes) ?? at, false)
  }

  /** The call on the route that it goes to. */
  go({ route, info }: Target): Call | Promise<Call> {
    const { telemetry } = this.entry.scope.services
    const from = this.#at.info
    if (from !== info)
      telemetry?.event?.({ type: 'route', call: this.entry, from: from.name, to: info.name, error: this.#error })
    return this.#enter(route)
  }

  /** Sends an attempt on the route that the call stands on; its breaker hears how that went. */
  readonly send: Next = async (call) => {
    const { plan, breaker, attempt, info } = this.#at
    const tell = breaker.begin()
    const failed = (error: unknown): void => {
      const isVerdict = isAnyCallError(error) && !this.entry.scope.isOver
      tell(isVerdict ? (routeFailureOf(error) ?? 'none') : 'unknown', isVerdict ? error.retryAfterMs : undefined)
    }
    const { scope } = call
    // An attempt that took too long, or that nobody waits for.
    scope.onEnd(() => failed(scope.reason))
    let reply: Reply
    try {
      reply = await attempt(call)
    } catch (error) {
      failed(error)
      throw error
    }
    tell('none')
    if (reply.kind !== 'unary') return reply
    const message = plan.convert && reply.status !== 304 ? await converted(plan.convert, reply, call) : reply.message
    return { ...reply, message, operation: info.name }
  }

  #target(route: ClientRoute, isHop: boolean): Target {
    return { info: route.info, route, isHop, isElsewhere: route.origin !== this.#at.origin }
  }

  #enter(route: ClientRoute): Call | Promise<Call> {
    this.#at = route
    const known = this.#calls.get(route)
    if (known) return known
    checkIdentity(route, this.entry)
    const call = callOn(route, this.entry)
    const keep = (input: unknown): Call => {
      const ready = call.with({ input, keyExpiresAt: Math.min(call.keyExpiresAt, this.#keyExpiresAt()) })
      this.#calls.set(route, ready)
      return ready
    }
    const input = inputOf(route.plan, this.entry.input)
    return input instanceof Promise ? input.then(keep) : keep(input)
  }

  /** Where another route may have run the call, no longer than that one remembers the key. */
  #keyExpiresAt(): number {
    return Math.min(...[...this.#mayHaveRun].map((ran) => this.#calls.get(ran)?.keyExpiresAt ?? 0))
  }

  /** In order, of those that may be taken; one that the server asked not to call stands back behind another origin. */
  #choose(routes: readonly ClientRoute[]): ClientRoute | undefined {
    const ready = routes.filter((route) => route.breaker.isReady && this.#isSafe(route))
    const [first] = ready
    if (!first || !this.#isHeld(first)) return first
    return ready.find((route) => route.origin !== first.origin && !this.#isHeld(route)) ?? first
  }

  /** All are open: nothing fails unsent. */
  #dueFirst(): ClientRoute {
    return this.#routes.reduce((best, route) => (route.breaker.dueAt < best.breaker.dueAt ? route : best))
  }

  /** Never on two routes where that may do it twice. */
  #isSafe(route: ClientRoute): boolean {
    if (this.#routes.every(({ info }) => info.isIdempotent)) return true
    return [...this.#mayHaveRun].every((ran) => ran === route || this.#sharesKey(ran, route))
  }

  /** One key is honoured by both, and they say that they share what they remember of it. */
  #sharesKey(ran: ClientRoute, route: ClientRoute): boolean {
    const { idempotencyScope } = ran.info
    if (idempotencyScope === undefined || idempotencyScope !== route.info.idempotencyScope) return false
    const call = this.#calls.get(ran)
    if (!call?.isKeyHonoured || call.keyExpiresAt <= call.scope.services.clock.now()) return false
    return callOn(route, this.entry).isKeyHonoured
  }

  #isHeld({ info }: ClientRoute): boolean {
    const { scope, identity, idempotencyKey } = this.entry
    const { limits } = scope.services
    return !limits.isIdle && limits.heldMs(limits.keysOf({ operation: info, identity, idempotencyKey })) > 0
  }
}
