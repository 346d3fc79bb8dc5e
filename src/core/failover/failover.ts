import type { Call } from '../call/call.ts'
import type { Unary } from '../call/call-types.ts'
import {
  defineOperation,
  type Operation,
  type OperationInfo,
  operationInfo,
  type RouteMachinery,
} from '../call/operation.ts'
import type { Reply } from '../call/reply.ts'
import type { Services } from '../call/scope.ts'
import { Hops } from './hops.ts'
import { type ClientRoute, routesOf } from './routes.ts'

/** What an operation with several routes brings along for `retry`, so that a program without failover is without it. */
export class Failover implements RouteMachinery {
  readonly #infos: readonly OperationInfo[]
  readonly #routes = new WeakMap<Services, readonly ClientRoute[]>()

  constructor(infos: readonly OperationInfo[]) {
    this.#infos = infos
  }

  /** Runs a call on the route that is chosen for it. */
  begin(call: Call, run: (call: Call, hops: Hops) => Promise<Reply>): Promise<Reply> {
    const hops = new Hops(call, this.#routesOf(call.scope.services))
    const routed = hops.begin()
    return routed instanceof Promise ? routed.then((each) => run(each, hops)) : run(routed, hops)
  }

  attach(services: Services): void {
    this.#routesOf(services)
  }

  #routesOf(services: Services): readonly ClientRoute[] {
    let routes = this.#routes.get(services)
    if (!routes) this.#routes.set(services, (routes = routesOf(this.#infos, services)))
    return routes
  }
}

/**
 * One operation with several routes: the first one that works is taken, in this order. A call leaves a route that is down
 * or cannot work from here, at once, where it cannot be carried out twice; a breaker keeps later calls from it for a while.
 *
 * The first route says what goes in and comes out; `adapt` makes the others agree.
 *
 * @throws {TypeError} where there are fewer than two routes, or one is no operation that fits beside the others.
 * @example
 * const getPrice = failover(rpc(PriceService.method.get), adapt(get('/prices/{symbol}', { output: type<Price>() }), { … }))
 * const price = await client.call(getPrice, { symbol: 'AAPL' })
 */
export function failover<V extends string, W extends string, In, Out>(
  first: Operation<V, Unary<In, Out>>,
  ...others: readonly Operation<W, Unary<NoInfer<In>, NoInfer<Out>>>[]
): Operation<V | W, Unary<In, Out>>
export function failover(...operations: readonly unknown[]): never {
  const infos = operations.map((operation, index) => {
    const info = operationInfo(operation)
    if (!info) throw new TypeError(`failover(…): route ${index + 1} is no operation made by a builder such as get()`)
    if (info.failover) throw new TypeError(`failover(…): route ${index + 1} is a failover: list its routes instead`)
    // The first route says how calls are sent again.
    return { ...info, retry: (operationInfo(operations[0]) ?? info).retry }
  })
  const [first] = infos
  if (!first || infos.length < 2) throw new TypeError('failover(first, …others) takes at least two routes')
  for (const { kind, name } of infos)
    if (kind !== 'unary') throw new TypeError(`failover(…): '${name}' is a ${kind}, and '${first.name}' is unary`)
  const { name, protocol, via, retry } = first
  const isIdempotent = infos.every((info) => info.isIdempotent)
  return defineOperation<Operation<never>>({
    name,
    protocol,
    via,
    retry,
    kind: 'unary',
    isIdempotent,
    // Each route takes the key where its own server looks for it.
    idempotency: false,
    binding: undefined,
    failover: new Failover(infos),
  }) as never
}
