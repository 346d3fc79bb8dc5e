import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from 'node:net'

/** How the connections of a proxy behave from now on. */
type Mode =
  | { readonly kind: 'pass' }
  /** Nothing is read from either side: TCP back-pressure builds up. */
  | { readonly kind: 'stall' }
  /** Everything is read and thrown away: each side believes that the other lives. */
  | { readonly kind: 'halfOpen' }
  /** What the server sends reaches the client a few bytes at a time. */
  | { readonly kind: 'drip'; readonly bytes: number; readonly everyMs: number }

const pass: Mode = { kind: 'pass' }

/**
 * A TCP proxy on 127.0.0.1 that breaks connections in every way that networks do.
 *
 * @example
 * await using proxy = await TcpProxy.start({ port: server.port })
 * proxy.drop()
 */
export class TcpProxy implements AsyncDisposable {
  readonly #server: Server
  readonly #target: { readonly host: string; readonly port: number }
  readonly #pairs = new Set<Pair>()
  #mode: Mode = pass
  #isRefusing = false
  /** Connections accepted so far. */
  accepted = 0
  /** Bytes that came from clients and from the server so far. */
  readonly bytes = { up: 0, down: 0 }

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client))
  }

  /** Listens on a free port and forwards to `port`. */
  static async start({ port, host = '127.0.0.1' }: { port: number; host?: string }): Promise<TcpProxy> {
    const proxy = new TcpProxy({ host, port })
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#pairs.size
  }

  /** Ends all connections in order (FIN to both sides), or only the `nth` of those that are open, from 0. */
  drop(nth?: number): void {
    for (const pair of this.#chosen(nth)) pair.drop()
  }

  /** Resets all connections (RST to both sides): the client sees ECONNRESET. */
  reset(nth?: number): void {
    for (const pair of this.#chosen(nth)) pair.reset()
  }

  /** Reads nothing any more, present and future connections alike, until `pass()`. */
  stall(): void {
    this.#set({ kind: 'stall' })
  }

  /** Swallows all bytes, present and future connections alike, until `pass()`: the way a lost Wi-Fi looks. */
  halfOpen(): void {
    this.#set({ kind: 'halfOpen' })
  }

  /** Hands `bytes` of what the server sends to the client every `everyMs`. */
  drip(bytes = 1, everyMs = 1): void {
    this.#set({ kind: 'drip', bytes, everyMs })
  }

  /** Forwards as a good network does. What a half-open connection has swallowed stays lost. */
  pass(): void {
    this.#set(pass)
  }

  /** Resets each new connection at once, until `accept()`. */
  refuse(): void {
    this.#isRefusing = true
  }

  accept(): void {
    this.#isRefusing = false
  }

  async close(): Promise<void> {
    this.reset()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #chosen(nth: number | undefined): Pair[] {
    const all = [...this.#pairs]
    return nth === undefined ? all : all.slice(nth, nth + 1)
  }

  #set(mode: Mode): void {
    this.#mode = mode
    for (const pair of this.#pairs) pair.set(mode)
  }

  #accept(client: Socket): void {
    this.accepted++
    if (this.#isRefusing) {
      client.on('error', () => {})
      client.resetAndDestroy()
      return
    }
    const upstream = dial({ ...this.#target, noDelay: true })
    const pair = new Pair(client, upstream, this.bytes, () => this.#pairs.delete(pair))
    this.#pairs.add(pair)
    pair.set(this.#mode)
  }
}

/** One client's connection and the one to the server behind it. */
class Pair {
  readonly #client: Socket
  readonly #upstream: Socket
  #mode: Mode = pass
  /** What drips. */
  #held = Buffer.alloc(0)
  #dripping: NodeJS.Timeout | undefined
  #hasServerEnded = false

  constructor(client: Socket, upstream: Socket, bytes: { up: number; down: number }, onClose: () => void) {
    this.#client = client
    this.#upstream = upstream
    client.on('data', (chunk) => {
      bytes.up += chunk.length
      if (this.#mode.kind !== 'halfOpen') this.#forward(chunk, upstream, client)
    })
    upstream.on('data', (chunk) => {
      bytes.down += chunk.length
      this.#down(chunk)
    })
    client.on('end', () => this.#mode.kind !== 'halfOpen' && upstream.end())
    upstream.on('end', () => this.#endClient())
    this.#follow(client, upstream, onClose)
    this.#follow(upstream, client, onClose)
  }

  set(mode: Mode): void {
    this.#mode = mode
    clearInterval(this.#dripping)
    for (const side of [this.#client, this.#upstream]) mode.kind === 'stall' ? side.pause() : side.resume()
    if (mode.kind === 'drip') this.#dripping = setInterval(() => this.#drip(mode.bytes), mode.everyMs)
    else if (mode.kind === 'pass') this.#drip(this.#held.length)
  }

  drop(): void {
    this.#mode = pass
    this.#client.destroy()
    this.#upstream.destroy()
  }

  reset(): void {
    this.#mode = pass
    this.#client.resetAndDestroy()
    this.#upstream.resetAndDestroy()
  }

  #follow(side: Socket, other: Socket, onClose: () => void): void {
    side.on('error', () => this.#mode.kind !== 'halfOpen' && other.resetAndDestroy())
    side.on('close', () => {
      if (this.#mode.kind !== 'halfOpen' && this.#held.length === 0) other.destroy()
      if (!other.destroyed) return
      clearInterval(this.#dripping)
      onClose()
    })
  }

  #endClient(): void {
    this.#hasServerEnded = true
    if (this.#mode.kind !== 'halfOpen' && this.#held.length === 0) this.#client.end()
  }

  #down(chunk: Buffer): void {
    if (this.#mode.kind === 'halfOpen') return
    if (this.#mode.kind === 'drip') this.#held = Buffer.concat([this.#held, chunk])
    else this.#forward(chunk, this.#client, this.#upstream)
  }

  #drip(bytes: number): void {
    if (this.#held.length === 0 || this.#client.destroyed) return
    this.#client.write(this.#held.subarray(0, bytes))
    this.#held = this.#held.subarray(bytes)
    if (this.#held.length === 0 && this.#hasServerEnded) this.#client.end()
  }

  #forward(chunk: Buffer, to: Socket, from: Socket): void {
    if (to.destroyed || to.write(chunk)) return
    from.pause()
    to.once('drain', () => this.#mode.kind !== 'stall' && from.resume())
  }
}
