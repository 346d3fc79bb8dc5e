import type { Call } from '../call/call.ts'
import type { Next } from '../call/interceptor.ts'
import type { Item, Reply, StreamReply, Tap } from '../call/reply.ts'
import type { Scope } from '../call/scope.ts'
import { CallError, failureOf, isAnyCallError } from '../errors/error.ts'
import type { Failure } from '../errors/failure.ts'
import { cursorIn } from '../resume/cursors.ts'
import type { Hold } from '../resume/hold.ts'
import { openByPolicy } from '../resume/opening.ts'
import type { ResumeOptions } from '../resume/options.ts'
import { type Prepared, ReopenedStream, type Reopener } from '../resume/reopener.ts'
import type { Continuity } from '../stream/state.ts'
import { pageLife } from '../time/page-life.ts'
import type { RouteSends } from './route-sends.ts'
import { attemptOn, type ClientRoute, callWith, openedOf } from './routes.ts'
import { routeFailureOf } from './verdict.ts'
import { type BackOwner, WayBack } from './way-back.ts'

/** A route that breaks sooner than this after it opened has not worked: the others have their turn first; ms. */
const stableMs = 10_000
/** Messages that may come by the old route while the better one opens: what is remembered of them tells repeats. */
const manyMessages = 900

/** What a stream needs to know of its routes in one client. */
export interface RoutesOfStream {
  readonly routes: readonly ClientRoute[]
  /** A cursor means the same on all of them. */
  readonly isOneSpace: boolean
  /** The first try of a better route comes after this; ms. */
  readonly backMs: number
  /** What is sent, where all of them send. */
  readonly sends: RouteSends | undefined
}

/** Its queue, cursors and gaps, over all routes. */
class RoutedStream extends ReopenedStream {
  /** Called when it is over. */
  over: ((reason: unknown) => void) | undefined
  #isGoingBack = false

  override onEnd(reason: unknown): void {
    this.over?.(reason)
    super.onEnd(reason)
  }

  /** Goes on by an attempt that is open already. */
  goBack(call: Call): void {
    this.#isGoingBack = true
    this.leave(new CallError(goesBack, call))
    this.#isGoingBack = false
  }

  protected override dropped(error: CallError): void {
    if (this.#isGoingBack) this.onWaited()
    else super.dropped(error)
  }

  /** Cursors of the next attempt are others. */
  forget(): void {
    this.splice.forget()
  }
}

/**
 * One stream over the routes of its operation: each opening takes the first one whose breaker lets it, and the next at once
 * where that fails; a better one is tried beside it.
 */
export class RouteStream implements Reopener, BackOwner {
  readonly first: Next
  readonly hold: Hold | undefined
  readonly #call: Call
  readonly #of: RoutesOfStream
  readonly #stream: RoutedStream
  readonly #back: WayBack
  /** The route of the attempt that is open, or was last. */
  #at: ClientRoute | undefined
  #openedAt = 0
  #isOpen = false
  /** Broke soon after it had opened. */
  #tired: ClientRoute | undefined
  #error: CallError | undefined
  /** A better route that is open, and its scope. */
  #ready: { readonly reply: StreamReply; readonly scope: Scope } | undefined
  /** Some message had no cursor. */
  #isBare = false
  /** Messages that have come. */
  #arrived = 0
  #arrivedBefore = 0

  constructor(call: Call, next: Next, options: ResumeOptions, of: RoutesOfStream) {
    this.#call = call
    this.#of = of
    this.hold = of.routes.find(({ info }) => info.resume?.hold)?.info.resume?.hold as Hold | undefined
    const policy = call.options.opening ?? call.operation.opening ?? options.opening
    const timeoutMs = call.options.timeoutMs ?? options.timeoutMs ?? 30_000
    // `retry` goes from route to route by itself; a policy of its own tries all of them each time.
    this.first = policy
      ? (each) => openByPolicy(each, this.open, policy, timeoutMs, pageLife())
      : async (each) => this.#opened(await next(each), each.cursor)
    this.#stream = new RoutedStream(call, options, this)
    this.#back = new WayBack(call, of.backMs, timeoutMs, this)
    this.#stream.over = (reason) => this.#over(reason)
  }

  start(): Promise<Reply> {
    return this.#stream.open()
  }

  prepare(error: CallError): Prepared {
    this.#error = error
    if (this.#isOpen && this.#at) this.#dropped(this.#at)
    this.#isOpen = false
    const [first] = this.#candidates()
    // A socket is waited for by its link; this stream goes on elsewhere.
    return {
      error: first === this.#at ? error : new CallError({ ...failureOf(error), connection: undefined }, this.#call),
    }
  }

  readonly open: Next = async (call) => {
    const ready = this.#ready
    this.#ready = undefined
    if (ready) {
      call.scope.onAbort((reason) => ready.scope.abort(reason))
      call.scope.onEnd(() => ready.scope.end())
      return this.#opened(ready.reply, call.cursor)
    }
    const send = async (route: ClientRoute) => this.#opened(await this.#send(route, call), call.cursor)
    return inTurn(this.#candidates(), call, send, (error) => {
      this.#error = error
    })
  }

  dueMs(): number | undefined {
    const { isOneSpace } = this.#of
    const better = this.#better()
    if (!isOneSpace || better.length === 0 || !this.#isOpen) return undefined
    const now = this.#call.scope.services.clock.now()
    return Math.max(0, Math.min(...better.map(({ breaker }) => (breaker.isReady ? 0 : breaker.dueAt - now))))
  }

  async openBeside(call: Call): Promise<StreamReply> {
    const route = this.#better().find(({ breaker }) => breaker.isReady) as ClientRoute
    this.#arrivedBefore = this.#arrived
    const { sends } = this.#of
    sends?.beginBeside()
    // Where it is given up, or has become the stream.
    call.scope.onEnd(() => sends?.stay())
    const reply = (await this.#send(route, call.with({ cursor: this.#stream.received }))) as StreamReply
    await sends?.drain()
    return reply
  }

  take(reply: StreamReply, scope: Scope): boolean {
    if (!this.#isOpen || this.#arrived - this.#arrivedBefore > manyMessages) return false
    this.#ready = { reply, scope }
    this.#error = undefined
    this.#isOpen = false
    this.#of.sends?.turn()
    this.#stream.goBack(this.#call)
    return true
  }

  /** Opens it on one route, which is asked to go on after the cursor where it knows it. */
  async #send(route: ClientRoute, call: Call): Promise<Reply> {
    const isKnown = this.#of.isOneSpace || route === (this.#at ?? this.#of.routes[0])
    const routed = await callWith(route, call, isKnown ? call.cursor : undefined)
    // Who waits patiently for a socket never goes another way.
    return attemptOn(
      route,
      route.info.kind === 'bidi_stream' ? routed.with({ isReopen: false }) : routed,
      this.#call.scope,
    )
  }

  #candidates(): readonly ClientRoute[] {
    const ready = readyRoutes(this.#of.routes)
    const tired = this.#tired
    return tired && ready.includes(tired) ? [...ready.filter((each) => each !== tired), tired] : ready
  }

  #better(): readonly ClientRoute[] {
    const { routes } = this.#of
    return this.#at ? routes.slice(0, routes.indexOf(this.#at)) : []
  }

  #dropped(at: ClientRoute): void {
    const hasWorked = this.#call.scope.services.clock.now() - this.#openedAt >= stableMs
    this.#tired = hasWorked ? undefined : at
    at.breaker.begin()(hasWorked ? 'none' : 'down')
    this.#back.dropped(hasWorked)
  }

  /** An attempt is open: what it brings is brought into the shape of the first route's messages. */
  #opened(reply: Reply, asked: string | undefined): Reply {
    const opened = openedOf(reply)
    if (reply.kind !== 'stream' || !opened) return reply
    const { route, cursor } = opened
    const { status, headers, trailers, messages } = reply
    const { clock, telemetry } = this.#call.scope.services
    const from = this.#at
    if (from && from !== route) {
      if (!this.#of.isOneSpace) this.#stream.forget()
      const { name } = route.info
      telemetry?.event?.({ type: 'route', call: this.#call, from: from.info.name, to: name, error: this.#error })
    }
    this.#at = route
    this.#openedAt = clock.now()
    this.#isOpen = true
    messages.tap(this.#reader(route))
    this.#back.opened()
    const isWithoutCursor = reply.isWithoutCursor === true || (asked !== undefined && cursor === undefined)
    const continuity = () => this.#continuity(route, reply)
    return {
      kind: 'stream',
      messages,
      status,
      headers,
      trailers,
      continuity,
      isWithoutCursor,
      operation: route.info.name,
    }
  }

  #reader(route: ClientRoute): Tap {
    const read = readerOf(route, this.#call)
    return (item) => {
      if (item.isGap) return item
      this.#arrived++
      const given = read(item)
      if (given.cursor === undefined) this.#isBare = true
      // A mark is of one wire: across two, a repeat is told by its cursor alone.
      return this.#of.isOneSpace ? { ...given, mark: 0 } : given
    }
  }

  #continuity({ info }: ClientRoute, reply: StreamReply): Continuity {
    if (this.#stream.isRepeating) return 'at-least-once'
    if (!info.resume) return reply.continuity()
    return info.cursors === 'offset' && !this.#isBare ? 'exact' : 'at-least-once'
  }

  #over(reason: unknown): void {
    this.#isOpen = false
    this.#back.cancel(reason)
    this.#ready?.scope.abort(reason)
    this.#ready = undefined
  }
}

/** What one attempt on any of the routes opens, for who opens the next one himself: each in turn, until one has opened. */
export function openInTurn(routes: readonly ClientRoute[], call: Call): Promise<Reply> {
  const open = async (route: ClientRoute): Promise<Reply> => {
    const reply = await attemptOn(route, await callWith(route, call, call.cursor), call.scope)
    if (reply.kind !== 'stream') return reply
    const read = readerOf(route, call)
    reply.messages.tap((item) => (item.isGap ? item : read(item)))
    return reply
  }
  return inTurn(readyRoutes(routes), call, open, () => {})
}

/** The order of an opening: those whose breaker lets it; while none does, the one that is due first. */
function readyRoutes(routes: readonly ClientRoute[]): readonly ClientRoute[] {
  const ready = routes.filter(({ breaker }) => breaker.isReady)
  if (ready.length > 0) return ready
  return [routes.reduce((best, each) => (each.breaker.dueAt < best.breaker.dueAt ? each : best))]
}

async function inTurn(
  routes: readonly ClientRoute[],
  call: Call,
  open: (route: ClientRoute) => Promise<Reply>,
  onFailure: (error: CallError) => void,
): Promise<Reply> {
  let last: unknown
  for (const route of routes) {
    try {
      return await open(route)
    } catch (error) {
      if (call.scope.isOver || !isAnyCallError(error) || routeFailureOf(error) === undefined) throw error
      onFailure(error)
      // One that may pass is worth another try of all.
      if (!isAnyCallError(last) || !last.isRetryable) last = error
    }
  }
  throw last
}

/** Brings what a route gives into the shape of the first route's messages, and reads its cursor. */
function readerOf({ plan: { convert }, info }: ClientRoute, call: Call): (item: Item) => Item {
  const cursorOf = info.resume?.cursor
  return ({ message: raw, cursor: own, size }) => {
    const message = convert ? convert(raw) : raw
    // What comes in is read at once.
    if (message instanceof Promise) {
      message.catch(() => {})
      throw new CallError(asynchronous, call)
    }
    const cursor = cursorOf ? cursorIn(raw, cursorOf, call) : own
    return { message, cursor, size }
  }
}

const goesBack: Failure = {
  code: 'unavailable',
  message: 'a better route is open: the stream goes on there',
  phase: 'stream',
  sent: 'yes',
  isRetryable: true,
}

const asynchronous: Failure = {
  code: 'failed_precondition',
  message: 'a schema that validates asynchronously cannot stand on a stream with several routes',
  phase: 'stream',
  sent: 'yes',
}
