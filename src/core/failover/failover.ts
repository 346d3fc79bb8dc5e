import type { Args, Channel, ServerStream, Stream, Unary } from '../call/call-types.ts'
import { defineOperation, type Operation, type OperationInfo } from '../call/operation.ts'
import { StreamHandle } from '../stream/handle.ts'
import type { Streaming } from '../stream/streaming.ts'
import { failoverCalls } from './failover-calls.ts'
import { declaredRoutes, Failover, routedInfo } from './machinery.ts'
import { RouteSends } from './route-sends.ts'
import { openInTurn, RouteStream } from './route-stream.ts'
import { stateOf } from './routes.ts'

/**
 * One operation with several routes, all of them calls or all of them streams. A call takes the first one that works, in
 * this order: it leaves a route that is down or cannot work from here, at once, where it cannot be carried out twice; a
 * breaker keeps later calls from it for a while. A stream is opened by the first one that works, goes on by the next
 * where one breaks for good, and comes back to the better one. Server streams, channels and lists that are polled may
 * be mixed; where all routes are channels the stream sends, too.
 *
 * The first route says what goes in and comes out; `adapt` makes the others agree.
 *
 * @throws {TypeError} where there are fewer than two routes, or one is no operation that fits beside the others.
 * @example
 * const getPrice = failover(rpc(PriceService.method.get), adapt(get('/prices/{symbol}', { output: type<Price>() }), { … }))
 * const ticks = failover(channel('ticks:{symbol}', { receive: type<Tick>() }), adapt(events('/ticks/{symbol}', …), { … }))
 * for await (const tick of client.call(ticks, { symbol: 'AAPL' })) show(tick)
 */
export function failover<V extends string, W extends string, In, Out>(
  first: Operation<V, Unary<In, Out>>,
  ...others: readonly Operation<W, Unary<NoInfer<In>, NoInfer<Out>>>[]
): Operation<V | W, Unary<In, Out>>
export function failover<V extends string, W extends string, In, Send, Message>(
  first: Operation<V, Channel<In, Send, Message>>,
  ...others: readonly Operation<W, Channel<NoInfer<In>, NoInfer<Send>, NoInfer<Message>>>[]
): Operation<V | W, Channel<In, Send, Message>>
export function failover<V extends string, W extends string, In, Message>(
  first: Operation<V, (...args: Args<In>) => Stream<Message>>,
  ...others: readonly Operation<W, (...args: Args<NoInfer<In>>) => Stream<NoInfer<Message>>>[]
): Operation<V | W, ServerStream<In, Message>>
export function failover(...operations: readonly unknown[]): never {
  const { routes, first, retry } = declaredRoutes('failover', operations)
  const upload = routes.find(({ kind }) => kind === 'client_stream')
  if (upload) throw new TypeError(`failover(…): '${upload.name}' is a client_stream, which has no routes`)
  if (routes.every(({ kind }) => kind === 'unary')) return failoverCalls(...(operations as [never, never])) as never
  for (const info of routes) check(info)
  const machinery = new Failover(routes)
  const silent = routes.find(({ kind }) => kind !== 'bidi_stream')
  const { opening, gaps, cursors, sendQueue, encodeMessage } = first
  return defineOperation<Operation<never>>({
    ...routedInfo(first, retry, routes),
    failover: machinery,
    ...(silent ? { kind: 'server_stream' } : { kind: 'bidi_stream', sendQueue, encodeMessage }),
    streaming: streamingOf(machinery, first, silent),
    isResumable: machinery.isOneSpace,
    opening,
    ...(gaps && { gaps }),
    ...(cursors && routes.every((info) => info.cursors === cursors) && { cursors }),
  } as OperationInfo) as never
}

/** @param silent - a route that only receives, where there is one. */
function streamingOf(failover: Failover, first: OperationInfo, silent: OperationInfo | undefined): Streaming {
  return {
    handle: silent
      ? (plan, scope, prepare) => new ListeningHandle(plan, scope, () => prepare(undefined), silent.name)
      : (first.streaming as Streaming).handle,
    // Another operation's stream goes on here: that one asks again at each drop.
    open: (call) => openInTurn(failover.routesOf(call.scope.services), call),
    resume(call, next, options) {
      const { services } = call.scope
      const { backMs = 30_000 } = stateOf(services).options
      const sends = call.sendQueue && new RouteSends(call.sendQueue, call.operation)
      const routed = sends ? call.with({ sendQueue: sends } as object) : call
      const of = { routes: failover.routesOf(services), isOneSpace: failover.isOneSpace, backMs, sends }
      return new RouteStream(routed, next, options, of).start()
    },
  }
}

/** A stream some of whose routes send. */
class ListeningHandle<Message> extends StreamHandle<Message> {
  readonly #silent: string

  constructor(...[plan, scope, prepare, silent]: [...ConstructorParameters<typeof StreamHandle>, string]) {
    super(plan, scope, prepare)
    this.#silent = silent
  }

  async send(): Promise<void> {
    throw this.refusal(
      `nothing can be sent on a stream one of whose routes, '${this.#silent}', only receives: list channels alone, or send by an operation of its own, such as post()`,
    )
  }

  async end(): Promise<void> {}
}

function check({ kind, name, isIdempotent, streaming }: OperationInfo): void {
  const refuse = (what: string): never => {
    throw new TypeError(`failover(…): '${name}' ${what}`)
  }
  if (kind !== 'server_stream' && kind !== 'bidi_stream')
    refuse(`is a ${kind}: calls and streams are no routes of one operation`)
  if (!isIdempotent)
    refuse('starts something, which two routes would do twice: continueWith() goes on with what it started')
  if ((streaming as Streaming).isContinued)
    refuse('is continued by another operation: list that one as a route instead')
}
