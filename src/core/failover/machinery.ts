import type { Call } from '../call/call.ts'
import { type OperationInfo, operationInfo, type RouteMachinery } from '../call/operation.ts'
import type { Reply } from '../call/reply.ts'
import type { Services } from '../call/scope.ts'
import type { Streaming } from '../stream/streaming.ts'
import { Hops } from './hops.ts'
import { type ClientRoute, routesOf } from './routes.ts'

/** What an operation with several routes brings along for `retry`, so that a program without failover is without it. */
export class Failover implements RouteMachinery {
  /** The cursor of a stream means the same on all routes: each reads it from its messages, or all speak one protocol. */
  readonly isOneSpace: boolean
  readonly #infos: readonly OperationInfo[]
  readonly #routes = new WeakMap<Services, readonly ClientRoute[]>()

  constructor(infos: readonly OperationInfo[]) {
    this.#infos = infos
    this.isOneSpace =
      infos.every(({ resume }) => resume !== undefined) ||
      infos.every(({ protocol, resume, isResumable }) => protocol === infos[0]?.protocol && isResumable && !resume)
  }

  /** Runs a call, or the first opening of a stream, on the route that is chosen for it. */
  begin(call: Call, run: (call: Call, hops: Hops) => Promise<Reply>): Promise<Reply> {
    const hops = new Hops(call, this.routesOf(call.scope.services), this.isOneSpace)
    const routed = hops.begin()
    return routed instanceof Promise ? routed.then((each) => run(each, hops)) : run(routed, hops)
  }

  attach(services: Services): void {
    this.routesOf(services)
  }

  routesOf(services: Services): readonly ClientRoute[] {
    let routes = this.#routes.get(services)
    if (!routes) this.#routes.set(services, (routes = routesOf(this.#infos, services)))
    return routes
  }
}

/** The routes as they were declared, each with the retry policy of the first one that is no poll. */
export function declaredRoutes(builder: string, operations: readonly unknown[]) {
  const declared = operations.map((operation, index) => {
    const info = operationInfo(operation)
    if (!info) throw new TypeError(`${builder}(…): route ${index + 1} is no operation made by a builder such as get()`)
    if (info.durable)
      throw new TypeError(`${builder}(…): route ${index + 1} is durable: its outbox decides where it is sent`)
    if (info.failover) throw new TypeError(`${builder}(…): route ${index + 1} is a failover: list its routes instead`)
    return info
  })
  const [first] = declared
  if (!first || declared.length < 2) throw new TypeError(`${builder}(first, …others) takes at least two routes`)
  // Polls are calls themselves, and say nothing of others.
  const { retry } = declared.find(({ streaming }) => !(streaming as Streaming | undefined)?.open) ?? first
  return { routes: declared.map((info) => ({ ...info, retry })), first, retry }
}

/** What an operation with several routes takes over from them. */
export function routedInfo(
  { name, protocol, via }: OperationInfo,
  retry: OperationInfo['retry'],
  routes: readonly OperationInfo[],
): Omit<OperationInfo, 'kind'> {
  return {
    name,
    protocol,
    via,
    retry,
    isIdempotent: routes.every((info) => info.isIdempotent),
    // Each route takes the key where its own server looks for it.
    idempotency: false,
    binding: undefined,
  }
}
