import { Call } from '../call/call.ts'
import { compose, type Interceptor, type Next, placeOf } from '../call/interceptor.ts'
import type { OperationInfo } from '../call/operation.ts'
import { identityOf, inputOf, type Plan } from '../call/plan.ts'
import type { Reply } from '../call/reply.ts'
import type { Scope, Services } from '../call/scope.ts'
import { CallError, isAnyCallError } from '../errors/error.ts'
import { Breaker } from '../policies/breaker.ts'
import { perClient } from '../policies/per-client.ts'
import { inputAfter } from '../resume/cursors.ts'
import type { Streaming } from '../stream/streaming.ts'
import { checkFailoverOptions, type FailoverOptions } from './options.ts'
import type { RouteSends } from './route-sends.ts'
import { routeFailureOf } from './verdict.ts'

/** One route of an operation in one client. */
export interface ClientRoute {
  readonly info: OperationInfo
  readonly plan: Plan
  readonly breaker: Breaker
  readonly origin: string
  /** What stands inside of `retry` in the chain of its transport. */
  readonly attempt: Next
}

/** What failover remembers for one client: routes that several operations share fail for all of them. */
interface ClientState {
  readonly options: FailoverOptions
  readonly breakers: Map<string, Breaker>
}

/** How the calls of one client fail over. */
export const stateOf = /* @__PURE__ */ perClient<ClientState>(({ failover = {} }) => ({
  options: checkFailoverOptions(failover),
  breakers: new Map(),
}))

/** The routes of an operation in one client. @throws {CallError} `failed_precondition` where its chain has no `retry()`. */
export function routesOf(infos: readonly OperationInfo[], services: Services): readonly ClientRoute[] {
  const { options, breakers } = stateOf(services)
  return infos.map((info) => {
    const plan = services.planOf?.(info) as Plan
    const { interceptors, send } = plan.route
    const place = placeOf('retry', interceptors)
    if (place < 0) throw refused(info, 'failover() sits in retry(), which the interceptors of this client lack')
    const { origin, operation } = services.limits.payersOf({ operation: info })
    const key = `${operation}\n${origin}`
    let breaker = breakers.get(key)
    if (!breaker) breakers.set(key, (breaker = new Breaker({ clock: services.clock, options: options.breaker })))
    return {
      info,
      plan,
      breaker,
      origin,
      attempt:
        (info.streaming as Streaming | undefined)?.open ??
        compose(interceptors.slice(place + 1), send, info.streaming !== undefined),
    }
  })
}

/**
 * The call on a route, its input apart: with whoever calls by the auth of this transport, and the key in the place where
 * this server takes it. It is the same key on every route.
 */
export function callOn(route: ClientRoute, entry: Call): Call {
  const { info, plan } = route
  const { options, scope } = entry
  const key = options.idempotencyKey ?? (info.isIdempotent ? undefined : scope.root.idempotencyKey)
  const call = new Call({
    ...entry,
    operation: info,
    identity: identityOn(route, entry),
    options: key === undefined ? options : { ...options, idempotencyKey: key },
  })
  return keyed(plan.route.interceptors, call)
}

/** @throws {CallError} `failed_precondition` where this route would be called as somebody else than the first one. */
function checkIdentity(route: ClientRoute, entry: Call): void {
  if (entry.identity !== '' && identityOn(route, entry) !== entry.identity)
    throw refused(route.info, 'its auth.identity() names another one than that of the first route; nothing was sent')
}

function identityOn({ info, plan }: ClientRoute, { options, identity }: Call): string {
  return plan.route.auth?.identity ? identityOf(plan.route, options, info) : identity
}

/**
 * The call on a route with its input, brought into the shape of that route.
 *
 * @param cursor - of a stream that goes on after it, where the route knows it.
 */
export function callWith(route: ClientRoute, entry: Call, cursor: string | undefined): Call | Promise<Call> {
  const { info, plan } = route
  checkIdentity(route, entry)
  const call = callOn(route, entry)
  const isAsked = cursor !== undefined && (info.resume !== undefined || info.isResumable === true)
  const ready = (input: unknown): Call =>
    call.with({
      input: isAsked && info.resume ? inputAfter(info.resume, call.with({ input }), cursor) : input,
      cursor: isAsked ? cursor : undefined,
      sendQueue: (call.sendQueue as RouteSends | undefined)?.of(route),
    } as object)
  const input = inputOf(plan, entry.input)
  return input instanceof Promise ? input.then(ready) : ready(input)
}

/** Which route has brought a stream, and the cursor that it was asked to go on after. */
export interface Opened {
  readonly route: ClientRoute
  readonly cursor: string | undefined
}

const opened = new WeakMap<Reply, Opened>()

/** What is known of a stream that {@link attemptOn} has opened. */
export function openedOf(reply: Reply): Opened | undefined {
  return opened.get(reply)
}

/**
 * One attempt on a route, whose breaker hears how it went.
 *
 * @param scope - whose end leaves the attempt without a verdict.
 */
export async function attemptOn(route: ClientRoute, call: Call, scope: Scope): Promise<Reply> {
  const { breaker, attempt } = route
  const tell = breaker.begin()
  const failed = (error: unknown): void => {
    const isVerdict = isAnyCallError(error) && !scope.isOver
    tell(isVerdict ? (routeFailureOf(error) ?? 'none') : 'unknown', isVerdict ? error.retryAfterMs : undefined)
  }
  // An attempt that took too long, or that nobody waits for.
  call.scope.onEnd(() => failed(call.scope.reason))
  let reply: Reply
  try {
    reply = await attempt(call)
  } catch (error) {
    failed(error)
    throw error
  }
  // A stream that is open has not worked yet, unless that was to be found out.
  tell(reply.kind === 'stream' && breaker.isClosed ? 'unknown' : 'none')
  if (reply.kind === 'stream') opened.set(reply, { route, cursor: call.cursor })
  return reply
}

/** What the maker of keys makes of a call: it only changes it, and hands it on at once. */
function keyed(interceptors: readonly Interceptor[], call: Call): Call {
  const maker = interceptors[placeOf('key', interceptors)]
  let changed = call
  if (maker)
    void compose(
      [maker],
      (each) => {
        changed = each
        return never
      },
      false,
    )(call)
  return changed
}

const never = /* @__PURE__ */ new Promise<never>(() => {})

function refused(operation: OperationInfo, message: string): CallError {
  return new CallError({ code: 'failed_precondition', message, phase: 'resolve', sent: 'no' }, { operation })
}
