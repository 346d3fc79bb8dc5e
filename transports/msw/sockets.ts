import { tell } from './error.ts'
import { escaped, readBase } from './pattern.ts'
import { type WebSocketData, type WebSocketHandler, ws } from './peer-msw.ts'
import type { MockOptions } from './types.ts'

/** One end of an intercepted socket: what handlers need of it. */
interface Client {
  readonly url: URL
  send(data: WebSocketData): void
  close(code?: number, reason?: string): void
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void
  addEventListener(type: 'close', listener: () => void): void
}

/** What one handler answers on sockets. */
export interface Route {
  /** It answers, or leaves the frame to the routes behind it. */
  readonly takes: (frame: any) => boolean
  isSpent: boolean
}

/** One socket of a protocol: all handlers that it was opened before share it. */
export abstract class Wire<R extends Route> {
  readonly client: Client
  /** In the order of their handlers. */
  readonly #routes = new Map<R, () => void>()
  readonly #ends = new Map<R, Set<() => void>>()

  constructor(client: Client) {
    this.client = client
    client.addEventListener('message', ({ data }) => {
      this.#hear(data).catch((error: unknown) => tell(String(client.url), error))
    })
    client.addEventListener('close', () => this.leave())
  }

  /** What a frame of the client says. Throws where it is none of this protocol. */
  protected abstract read(data: unknown): unknown

  /** Takes a frame of the client. */
  protected abstract hear(frame: any): void | Promise<void>

  add(route: R, onRemove: () => void): void {
    this.#routes.set(route, onRemove)
  }

  /** Nothing more is answered by it, and what it has begun is over. */
  remove(route: R): void {
    this.#routes.get(route)?.()
    this.#routes.delete(route)
    for (const end of this.#ends.get(route) ?? []) end()
  }

  /** The socket is closed, or is to be left. */
  leave(): void {
    for (const route of this.#routes.keys()) this.remove(route)
  }

  protected find(frame: unknown): R | undefined {
    return [...this.#routes.keys()].find((route) => !route.isSpent && route.takes(frame))
  }

  /** What has begun by a route ends with it. Returns what forgets that. */
  protected endWith(route: R, end: () => void): () => void {
    const all = this.#ends.get(route) ?? new Set()
    this.#ends.set(route, all.add(end))
    return () => all.delete(end)
  }

  async #hear(data: unknown): Promise<void> {
    // Handlers join one after the other while the socket opens.
    await undefined
    let frame: unknown
    try {
      frame = this.read(data instanceof ArrayBuffer ? new Uint8Array(data) : data)
    } catch {
      // Of another protocol, whose socket baseUrl would tell apart.
      return
    }
    await this.hear(Object(frame))
  }
}

/** A protocol on sockets. */
interface Protocol<R extends Route, W extends Wire<R>> {
  /** Whether a socket that offers these sub-protocols speaks it. */
  readonly fits: (subprotocols: readonly string[]) => boolean
  readonly make: (client: Client) => W
}

const wires = new WeakMap<object, Wire<any>>()
/** One for each address, since each listens to what msw says to all. */
const links = new Map<string, ReturnType<typeof ws.link>>()

function linkTo(baseUrl: string | undefined): ReturnType<typeof ws.link> {
  const address = addressOf(baseUrl)
  const link = links.get(String(address)) ?? ws.link(address)
  links.set(String(address), link)
  return link
}

/** A handler of msw for sockets of a protocol, which takes part in each that it sees opened. */
export function socketHandler<R extends Route, W extends Wire<R>>(
  route: R,
  { fits, make }: Protocol<R, W>,
  { baseUrl }: MockOptions,
): WebSocketHandler {
  const joined = new Set<W>()
  const handler = linkTo(baseUrl).addEventListener('connection', ({ client }) => join(client))
  const join = (client: object): void => {
    const wire = (wires.get(client) ?? make(client as Client)) as W
    wires.set(client, wire)
    wire.add(route, () => joined.delete(wire))
    joined.add(wire)
  }
  connectBy(handler, join)
  const run = handler.run.bind(handler)
  handler.run = async (connection, context) => {
    const { protocols = [] } = connection.info
    return fits([protocols].flat()) ? run(connection, context) : null
  }
  handler.dispose = () => {
    for (const wire of joined) wire.remove(route)
    joined.clear()
  }
  handler.restore = () => {
    route.isSpent = false
  }
  return handler
}

/**
 * msw connects a handler to a socket under a symbol, and hears its close twice for each: of ten mocks Node would warn that
 * listeners leak. The handlers of a protocol hear it together. Of another msw, its own way stays.
 */
function connectBy(handler: WebSocketHandler, join: (client: object) => void): void {
  const proto = Object.getPrototypeOf(handler) as object
  const connect = Object.getOwnPropertySymbols(proto).find(({ description }) => description === 'kConnect')
  if (!connect) return
  const value = ({ client }: { readonly client: object }): boolean => {
    join(client)
    return true
  }
  Object.defineProperty(handler, connect, { value })
}

/** Any socket, or those of one address, whatever stands in its query. */
function addressOf(baseUrl: string | undefined): string | RegExp {
  if (baseUrl === undefined) return '*'
  const { origin, prefix } = readBase(baseUrl)
  const place = origin === undefined ? '[^/]+//[^/]+' : escaped(origin).replace(/^http/, '(?:http|ws)')
  return new RegExp(`^${place}${escaped(prefix)}/?(?:[?#].*)?$`)
}
