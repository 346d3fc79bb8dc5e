import type { OperationInfo } from '../../src/core/call/operation.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { decodeBinary, encodeBinary } from '../websocket/plain-json.ts'
import { isNetworkError, isResponse, jsonOf, reasonOf, tell, thrownFailure } from './error.ts'
import { type AnyResolver, contextOf } from './http.ts'
import { Inbox } from './inbox.ts'
import { templatePattern } from './pattern.ts'
import type { WebSocketHandler } from './peer-msw.ts'
import { isMembers } from './request.ts'
import { type Route, socketHandler, Wire } from './sockets.ts'
import { iteratorOf, leave, turn } from './stream.ts'
import type { MockChannel, MockOptions } from './types.ts'

/** What a client of the plain protocol says: docs/protocol.md. */
interface Frame {
  readonly type?: unknown
  readonly channel?: string
  readonly ref?: number
  readonly data?: unknown
  readonly since?: string | number
}

/** A channel, or a request. */
interface ChannelRoute extends Route {
  readonly name: string
  readonly kind: 'channel' | 'request'
  /** The input of a name that is one of the operation's. */
  inputOf(channel: string, payload: unknown): unknown
  readonly resolver: AnyResolver
  /** Answers the next one alone. */
  readonly isOnce: boolean
}

/** A channel of the plain protocol. */
export function mockChannelOf(info: OperationInfo, resolver: AnyResolver, options: MockOptions): WebSocketHandler {
  return plainHandler(info, 'channel', resolver, options)
}

/** A request over a socket. */
export function mockRequest(info: OperationInfo, resolver: AnyResolver, options: MockOptions): WebSocketHandler {
  return plainHandler(info, 'request', resolver, options)
}

function plainHandler(
  { name }: OperationInfo,
  kind: ChannelRoute['kind'],
  resolver: AnyResolver,
  options: MockOptions,
): WebSocketHandler {
  const { source, names } = templatePattern(name.slice(kind.length + 1), { literal: (text) => text, value: () => '.+' })
  const pattern = new RegExp(`^${source}$`, 's')
  const route: ChannelRoute = {
    name,
    kind,
    resolver,
    isOnce: options.once ?? false,
    isSpent: false,
    takes: ({ type, channel = '' }: Frame) =>
      type === (kind === 'channel' ? 'subscribe' : 'message') && pattern.test(channel),
    inputOf(channel, payload) {
      if (names.length === 0) return payload
      const [, ...values] = pattern.exec(channel) ?? []
      const given = Object.fromEntries(names.map((each, index) => [each, values[index]]))
      return isMembers(payload) ? { ...payload, ...given } : given
    },
  }
  // Without a sub-protocol, or with the one that may carry a credential: no other protocol's socket, nor a dev server's.
  const fits = (all: readonly string[]) => all.length === 0 || all.includes('polywire')
  return socketHandler(route, { fits, make: (client) => new PlainWire(client) }, options)
}

/** A channel that a client has subscribed to. */
interface Member {
  readonly inbox: Inbox
  end(): void
}

/** A socket of the plain protocol, from the server's side. */
class PlainWire extends Wire<ChannelRoute> {
  readonly #members = new Map<string, Member>()
  readonly #requests = new Map<number, AbortController>()

  protected read(data: unknown): unknown {
    return typeof data === 'string' ? JSON.parse(data) : decodeBinary(data as Uint8Array)
  }

  protected hear(frame: Frame): void | Promise<void> {
    const { type, channel = '', ref } = frame
    if (type === 'ping') this.#say({ type: 'pong' })
    else if (type === 'auth') this.#say({ type: 'ack', ref })
    else if (type === 'subscribe') this.#subscribe(channel, frame)
    else if (type === 'unsubscribe') this.#members.get(channel)?.end()
    else if (type === 'cancel') this.#requests.get(ref as number)?.abort()
    else if (type === 'message') return this.#take(channel, frame)
  }

  #say({
    data,
    ...header
  }: {
    readonly type: string
    readonly data?: unknown
    readonly [name: string]: unknown
  }): void {
    const isBytes = data instanceof Uint8Array || data instanceof ArrayBuffer
    this.client.send(isBytes ? (encodeBinary(header, data) as never) : jsonOf({ ...header, data }))
  }

  #subscribe(channel: string, frame: Frame): void {
    const { ref } = frame
    const route = this.find(frame)
    if (!route) {
      this.#refuse({ channel, ref }, missing('channel', channel))
      return
    }
    route.isSpent = route.isOnce
    this.#members.get(channel)?.end()
    this.#say({ type: 'subscribed', channel, ref, acks: true })
    this.#begin(route, channel, frame)
  }

  #begin(route: ChannelRoute, channel: string, { data, since }: Frame): void {
    const left = new AbortController()
    const inbox = new Inbox()
    const end = () => {
      forget()
      if (this.#members.get(channel) === member) this.#members.delete(channel)
      inbox.end()
      left.abort()
    }
    const forget = this.endWith(route, end)
    const member: Member = { inbox, end }
    this.#members.set(channel, member)
    const ends = (frame: object) => {
      if (!left.signal.aborted) this.#say({ type: 'end', channel, ...frame })
      end()
    }
    const given: MockChannel<unknown, unknown, unknown> = {
      input: route.inputOf(channel, data),
      since,
      messages: inbox,
      signal: left.signal,
      send: (message, at) => {
        if (!left.signal.aborted) this.#say({ type: 'data', channel, ...at, data: message })
      },
      close: () => ends({}),
      // Behind what was sent: msw closes at once, and sends a turn later.
      drop: (code = 1001, reason) => void turn().then(() => this.client.close(code, reason)),
    }
    const fail = (error: unknown) => {
      if (left.signal.aborted) return
      if (isNetworkError(error)) given.drop()
      else ends({ type: 'error', error: this.#errorOf(route, error) })
    }
    const run = async () => {
      const made = await route.resolver(given)
      if (isResponse(made)) throw made
      if (!(Symbol.asyncIterator in Object(made))) return
      const messages = iteratorOf(made, route.name)
      const onAbort = () => void leave(messages)
      if (left.signal.aborted) onAbort()
      else left.signal.addEventListener('abort', onAbort)
      for (let next = await messages.next(); !next.done && !left.signal.aborted; next = await messages.next()) {
        given.send(next.value)
        await turn()
      }
      given.close()
    }
    run().catch(fail)
  }

  async #take(channel: string, frame: Frame): Promise<void> {
    const { ref, data } = frame
    const member = this.#members.get(channel)
    if (member) {
      member.inbox.push(data)
      if (ref !== undefined) this.#say({ type: 'ack', ref })
      return
    }
    if (ref === undefined) return
    const route = this.find(frame)
    if (!route) {
      this.#refuse({ ref }, missing('request', channel))
      return
    }
    route.isSpent = route.isOnce
    const left = new AbortController()
    const forget = this.endWith(route, () => left.abort())
    this.#requests.set(ref, left)
    try {
      const input = route.inputOf(channel, data)
      const request = new Request(this.client.url.href.replace(/^ws/, 'http'))
      const message: unknown = await route.resolver(contextOf(request, { input, signal: left.signal }))
      if (isResponse(message)) throw message
      if (!left.signal.aborted) this.#say({ type: 'data', channel, ref, data: message ?? null })
    } catch (error) {
      if (isNetworkError(error)) this.client.close(1001)
      else if (!left.signal.aborted) this.#refuse({ ref }, this.#errorOf(route, error))
    } finally {
      forget()
      this.#requests.delete(ref)
    }
  }

  #refuse(of: object, error: object): void {
    this.#say({ type: 'error', ...of, error })
  }

  #errorOf({ name }: ChannelRoute, error: unknown): object {
    const failure = thrownFailure(error)
    if (!failure) tell(name, error)
    const { message, details, violations, retryAfterMs, requestId, ...rest }: Failure = failure ?? {
      code: 'internal',
      message: String(error),
    }
    return { code: reasonOf({ message, ...rest }), message, details, violations, retryAfterMs, requestId }
  }
}

function missing(kind: string, name: string): object {
  const builder = kind === 'channel' ? 'mockChannel' : 'mock'
  return { code: 'unimplemented', message: `no ${builder}() that this socket knows answers the ${kind} '${name}'` }
}
