import type { OperationInfo } from '../../src/core/call/operation.ts'
import { isThenable } from '../../src/core/guard.ts'
import { isNetworkError, isResponse, jsonOf } from './error.ts'
import { asksFor, errorsOf, type GraphQLRequest, mockEventSubscription, resultOf } from './graphql.ts'
import { type AnyResolver, contextOf } from './http.ts'
import type { HttpHandler, WebSocketHandler } from './peer-msw.ts'
import { type Route, socketHandler, Wire } from './sockets.ts'
import { iteratorOf, leave, type Messages, turn } from './stream.ts'
import type { MockOptions } from './types.ts'

interface SubscriptionRoute extends Route {
  readonly info: OperationInfo
  readonly resolver: AnyResolver
  readonly isOnce: boolean
}

/** A message of `graphql-transport-ws`. */
interface Message {
  readonly type: string
  readonly id: string
  readonly payload?: GraphQLRequest
}

/**
 * A subscription, over a socket that speaks `graphql-transport-ws` or as an event stream, whichever the client asks by: a
 * handler of both, since msw knows handlers that bring others along.
 */
export function mockSubscription(info: OperationInfo, resolver: AnyResolver, options: MockOptions): WebSocketHandler {
  const isAsked = asksFor(info)
  const takes = ({ payload }: Message) => isAsked(payload)
  const route: SubscriptionRoute = { info, resolver, isOnce: options.once ?? false, isSpent: false, takes }
  const fits = (all: readonly string[]) => all.includes('graphql-transport-ws')
  const handler = socketHandler(route, { fits, make: (client) => new SubscriptionWire(client) }, options)
  bringAlong(handler, mockEventSubscription(info, resolver, options))
  return handler
}

/** msw gives each handler of a socket one for its upgrade, under a symbol: another one goes beside it. */
function bringAlong(handler: WebSocketHandler, other: HttpHandler): void {
  const place = Object.getOwnPropertySymbols(handler).find(({ description }) => description === 'kSiblingHandlers')
  const siblings: unknown = place && Reflect.get(handler, place)
  if (!Array.isArray(siblings))
    throw new TypeError('mockStream(): this msw is none that polywire/msw knows; please report it')
  siblings.push(other)
}

/** A socket of `graphql-transport-ws`, from the server's side. */
class SubscriptionWire extends Wire<SubscriptionRoute> {
  readonly #running = new Map<string, () => void>()

  protected read(data: unknown): unknown {
    return JSON.parse(String(data))
  }

  protected hear(message: Message): void {
    const { type, id } = message
    if (type === 'connection_init') this.client.send('{"type":"connection_ack"}')
    else if (type === 'ping') this.client.send('{"type":"pong"}')
    else if (type === 'complete') this.#running.get(id)?.()
    else if (type === 'subscribe') void this.#run(message)
  }

  async #run(message: Message): Promise<void> {
    const { id, payload } = message
    const route = this.find(message)
    if (!route) {
      const text = `no mockStream() that this socket knows answers '${String(payload?.operationName ?? payload?.query)}'`
      this.#say('error', id, [{ message: text, extensions: { code: 'UNIMPLEMENTED' } }])
      return
    }
    route.isSpent = route.isOnce
    const { info, resolver } = route
    const left = new AbortController()
    let messages: Messages | undefined
    const end = () => {
      left.abort()
      void leave(messages)
    }
    const forget = this.endWith(route, end)
    this.#running.set(id, end)
    const request = new Request(this.client.url.href.replace(/^ws/, 'http'))
    const context = contextOf(request, { input: payload?.variables ?? {}, signal: left.signal })
    try {
      const made = resolver({ ...context, lastEventId: undefined })
      const given = isThenable(made) ? await made : made
      if (isResponse(given)) throw given
      messages = iteratorOf(given, info.name)
      for (;;) {
        const { done, value } = await messages.next()
        await turn()
        if (left.signal.aborted) return
        if (done) break
        this.#say('next', id, JSON.parse(jsonOf(resultOf(info, value))))
      }
      this.client.send(JSON.stringify({ type: 'complete', id }))
    } catch (error) {
      if (left.signal.aborted) return
      if (isNetworkError(error)) this.client.close(1001)
      else this.#say('error', id, errorsOf(info, error))
    } finally {
      forget()
      this.#running.delete(id)
      void leave(messages)
    }
  }

  #say(type: string, id: string, payload: unknown): void {
    this.client.send(JSON.stringify({ type, id, payload }))
  }
}
