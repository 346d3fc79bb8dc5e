import type { Call } from '../call/call.ts'
import type { Args, ServerStream, Stream, Unary } from '../call/call-types.ts'
import {
  defineOperation,
  type Operation,
  type OperationInfo,
  operationInfo,
  type RouteMachinery,
} from '../call/operation.ts'
import type { Reply } from '../call/reply.ts'
import type { Services } from '../call/scope.ts'
import { receiving, type Streaming } from '../stream/streaming.ts'
import { Hops } from './hops.ts'
import { RouteStream } from './route-stream.ts'
import { type ClientRoute, routesOf, stateOf } from './routes.ts'

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

  /** What a stream with several routes needs of the core. */
  get streaming(): Streaming {
    return {
      handle: receiving.handle,
      resume: (call, next, options) => {
        const { services } = call.scope
        const { backMs = 30_000 } = stateOf(services).options
        const { isOneSpace } = this
        return new RouteStream(call, next, options, { routes: this.routesOf(services), isOneSpace, backMs }).start()
      },
    }
  }
}

/**
 * One operation with several routes: the first one that works is taken, in this order. A call leaves a route that is down
 * or cannot work from here, at once, where it cannot be carried out twice; a breaker keeps later calls from it for a while.
 * A stream goes on by the next route where one breaks for good, and comes back to the better one.
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
export function failover<V extends string, W extends string, In, Message>(
  first: Operation<V, (...args: Args<In>) => Stream<Message>>,
  ...others: readonly Operation<W, (...args: Args<NoInfer<In>>) => Stream<NoInfer<Message>>>[]
): Operation<V | W, ServerStream<In, Message>>
export function failover(...operations: readonly unknown[]): never {
  const declared = operations.map((operation, index) => {
    const info = operationInfo(operation)
    if (!info) throw new TypeError(`failover(…): route ${index + 1} is no operation made by a builder such as get()`)
    if (info.durable)
      throw new TypeError(`failover(…): route ${index + 1} is durable: its outbox decides where it is sent`)
    if (info.failover) throw new TypeError(`failover(…): route ${index + 1} is a failover: list its routes instead`)
    return info
  })
  const [first] = declared
  if (!first || declared.length < 2) throw new TypeError('failover(first, …others) takes at least two routes')
  // The first route says how calls are sent again; polls, which are calls themselves, do not.
  const { retry } = declared.find(({ streaming }) => !(streaming as Streaming | undefined)?.open) ?? first
  const infos = declared.map((info) => ({ ...info, retry }))
  for (const info of infos) check(info, first)
  const { name, protocol, via, opening, gaps, cursors } = first
  const isIdempotent = infos.every((info) => info.isIdempotent)
  const machinery = new Failover(infos)
  return defineOperation<Operation<never>>({
    name,
    protocol,
    via,
    retry,
    isIdempotent,
    // Each route takes the key where its own server looks for it.
    idempotency: false,
    binding: undefined,
    failover: machinery,
    ...(isStream(first)
      ? {
          kind: 'server_stream',
          streaming: machinery.streaming,
          opening,
          ...(gaps && { gaps }),
          ...(cursors && infos.every((info) => info.cursors === cursors) && { cursors }),
        }
      : { kind: 'unary' }),
  }) as never
}

function isStream({ kind }: OperationInfo): boolean {
  return kind === 'server_stream' || kind === 'bidi_stream'
}

function check(info: OperationInfo, first: OperationInfo): void {
  const { kind, name, isIdempotent, streaming } = info
  const refuse = (what: string): never => {
    throw new TypeError(`failover(…): '${name}' ${what}`)
  }
  if (kind === 'client_stream' || isStream(info) !== isStream(first))
    refuse(`is a ${kind}, and the first route, '${first.name}', is a ${first.kind}`)
  if (!isStream(info)) return
  if (!isIdempotent)
    refuse('starts something, which two routes would do twice: continueWith() goes on with what it started')
  if ((streaming as Streaming).isContinued)
    refuse('is continued by another operation: list that one as a route instead')
}
