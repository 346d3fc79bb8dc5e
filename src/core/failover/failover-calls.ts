import type { Unary } from '../call/call-types.ts'
import { defineOperation, type Operation } from '../call/operation.ts'
import { declaredRoutes, Failover, routedInfo } from './machinery.ts'

/**
 * One call with several routes: the first one that works is taken, in this order. It leaves a route that is down or cannot
 * work from here, at once, where it cannot be carried out twice; a breaker keeps later calls from it for a while. Streams
 * have `failover()`, of which this is the part that a program with calls alone needs: 10 KB less of a bundle.
 *
 * The first route says what goes in and comes out; `adapt` makes the others agree.
 *
 * @throws {TypeError} where there are fewer than two routes, or one is no operation that fits beside the others.
 * @example
 * const getPrice = failoverCalls(rpc(PriceService.method.get), adapt(get('/prices/{symbol}', { output: type<Price>() }), { … }))
 * const price = await client.call(getPrice, { symbol: 'AAPL' })
 */
export function failoverCalls<V extends string, W extends string, In, Out>(
  first: Operation<V, Unary<In, Out>>,
  ...others: readonly Operation<W, Unary<NoInfer<In>, NoInfer<Out>>>[]
): Operation<V | W, Unary<In, Out>>
export function failoverCalls(...operations: readonly unknown[]): never {
  const { routes, first, retry } = declaredRoutes('failoverCalls', operations)
  for (const { kind, name, makeCallable } of routes) {
    if (kind === 'server_stream' || kind === 'bidi_stream')
      throw new TypeError(`failoverCalls(…): '${name}' is a ${kind}: streams are routes of failover()`)
    if (makeCallable) throw new TypeError(`failoverCalls(…): '${name}' is several calls, which belong to one server`)
    if (kind !== 'unary') throw new TypeError(`failoverCalls(…): '${name}' is a ${kind}, which has no routes`)
  }
  return defineOperation<Operation<never>>({
    ...routedInfo(first, retry, routes),
    kind: 'unary',
    failover: new Failover(routes),
  }) as never
}
