import type { Call } from '../call/call.ts'
import type { Next } from '../call/interceptor.ts'
import { converted } from '../call/run-unary.ts'
import type { Scope } from '../call/scope.ts'
import { type CallError, failureOf, type NotRetried } from '../errors/error.ts'
import type { RetryOptions } from '../retry/options.ts'
import { attemptOn, type ClientRoute, callOn, callWith } from './routes.ts'
import { isThrottled, routeFailureOf } from './verdict.ts'

/** To another route, at once: nothing is waited for. */
export interface Hop {
  /** What keeps the call from it all the same. */
  readonly obstacle: NotRetried | undefined
  /** What it has cost the origin that it goes to; nothing where that has not been sent the call yet: tokens. */
  readonly price: number
  /** The call on that route. */
  go(): Call | Promise<Call>
}

/** The way of one call over its routes; `retry` asks, counts, pays and waits. */
export class Hops {
  /** The call as it was made, with the caller's own input. */
  readonly entry: Call
  readonly #routes: readonly ClientRoute[]
  readonly #isOneSpace: boolean
  /** What each route is called with: nothing of it changes between attempts. */
  readonly #calls = new Map<ClientRoute, Call>()
  #at!: ClientRoute
  /** Why the route that it stands on is left. */
  #error: CallError | undefined
  /** Routes that have failed since the last wait. */
  readonly #failed = new Set<ClientRoute>()
  /** Origins that the call has been sent to. */
  readonly #sentTo = new Set<string>()
  /** Routes that may have carried the call out. */
  readonly #mayHaveRun = new Set<ClientRoute>()

  /** @param isOneSpace - the cursor of a stream means the same on all routes. */
  constructor(entry: Call, routes: readonly ClientRoute[], isOneSpace: boolean) {
    this.entry = entry
    this.#routes = routes
    this.#isOneSpace = isOneSpace
  }

  /** The call on the route to begin with. */
  begin(): Call | Promise<Call> {
    return this.#enter(this.#choose(this.#routes) ?? this.#dueFirst())
  }

  /** Whether a failed attempt sends the call to another route; where it does not, `retry` decides as ever. */
  next(error: CallError, attempt: number, settings: RetryOptions): Hop | undefined {
    const at = this.#at
    this.#error = error
    if (error.sent !== 'no' && !failureOf(error).isUnexecuted) this.#mayHaveRun.add(at)
    const isLeft = routeFailureOf(error) !== undefined
    if (!isLeft && !isThrottled(error)) return undefined
    this.#failed.add(at)
    const others = this.#routes.filter((route) => !this.#failed.has(route) && (isLeft || route.origin !== at.origin))
    const route = this.#choose(others)
    // The next attempt begins another round.
    if (!route) this.#failed.clear()
    return route && this.#hopTo(route, attempt, settings)
  }

  #hopTo(route: ClientRoute, attempt: number, settings: RetryOptions): Hop {
    // Each route has its turn.
    const { maxAttempts = Math.max(3, this.#routes.length), budget = {} } = settings
    const { operation, input, scope } = this.#calls.get(this.#at) ?? this.entry
    const stopped = (obstacle: NotRetried): Hop => ({ obstacle, price: 0, go: () => this.entry })
    if (maxAttempts <= 1) return stopped('disabled')
    if (operation.isReplayable && !operation.isReplayable(input)) return stopped('body_not_replayable')
    if (attempt >= maxAttempts) return stopped('attempts_exhausted')
    const { isThrottled: isCheap = false, connection } = failureOf(this.#error as CallError)
    const { limits } = scope.services
    // A first attempt there: no origin gets more calls by it than are made.
    const isPaid = budget && this.#sentTo.has(route.origin)
    const price = isPaid ? limits.pay(limits.payersOf({ operation: route.info }), isCheap, connection, budget) : 0
    return price === undefined ? stopped('budget_exhausted') : { obstacle: undefined, price, go: () => this.#go(route) }
  }

  #go(route: ClientRoute): Call | Promise<Call> {
    const { entry } = this
    const [from, to] = [this.#at.info.name, route.info.name]
    entry.scope.services.telemetry?.event?.({ type: 'route', call: entry, from, to, error: this.#error })
    return this.#enter(route)
  }

  /** Sends an attempt on the route that the call stands on; its breaker hears how that went. */
  readonly send: Next = async (call) => {
    const { plan, info } = this.#at
    this.#nameFailure(call.scope.root)
    const reply = await attemptOn(this.#at, call, this.entry.scope)
    if (reply.kind !== 'unary') return reply
    const message = plan.convert && reply.status !== 304 ? await converted(plan.convert, reply, call) : reply.message
    return { ...reply, message, operation: info.name }
  }

  /** Each line of the error's history says which route it was. */
  #nameFailure({ failures }: Scope): void {
    const last = failures.at(-1)
    if (last && this.#error) failures[failures.length - 1] = { ...last, operation: this.#error.operation }
  }

  #enter(route: ClientRoute): Call | Promise<Call> {
    this.#at = route
    this.#sentTo.add(route.origin)
    const known = this.#calls.get(route)
    if (known) return known
    const keep = (call: Call): Call => {
      const ready = call.with({ keyExpiresAt: Math.min(call.keyExpiresAt, this.#keyExpiresAt()) })
      this.#calls.set(route, ready)
      return ready
    }
    const call = callWith(route, this.entry, this.#cursorOf(route))
    return call instanceof Promise ? call.then(keep) : keep(call)
  }

  /** Where cursors differ from route to route, the caller's is one of the first. */
  #cursorOf(route: ClientRoute): string | undefined {
    return this.#isOneSpace || route === this.#routes[0] ? this.entry.cursor : undefined
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
