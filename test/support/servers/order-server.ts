import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

/** The commands of `redis` that the server needs. */
export interface OrderRedis {
  set(key: string, value: string, options: { NX?: true; PX: number }): Promise<string | null>
  get(key: string): Promise<string | null>
  rPush(key: string, value: string): Promise<number>
}

/** Where a request carries its key. */
export type KeyPlace = (headers: IncomingMessage['headers'], body: Record<string, unknown>) => string | undefined

export interface OrderServerOptions {
  readonly redis: OrderRedis
  readonly keyOf: KeyPlace
  /** What goes wrong, by chance. */
  readonly random: () => number
  /** False: keys are read by nobody, as by a server that has never heard of them. @defaultValue true */
  readonly honoursKeys?: boolean
}

export interface OrderServer {
  readonly url: string
  /** Requests so far, and how they ended. */
  readonly counts: Record<'requests' | 'early' | 'late' | 'replayed' | 'inFlight' | 'mismatched', number>
  close(): Promise<void>
}

const lifeMs = 60_000

/**
 * Takes orders, each key once: claimed by `SET NX PX`, answered again from what was stored, 409 while the first request
 * still runs, 422 for another payload. A third of the requests end badly: before anything was done, or after all was.
 */
export async function startOrderServer(options: OrderServerOptions): Promise<OrderServer> {
  const counts = { requests: 0, early: 0, late: 0, replayed: 0, inFlight: 0, mismatched: 0 }
  const server = createServer((request, response) => {
    void take(options, counts, request, response).catch((error) => response.writeHead(500).end(String(error)))
  })
  server.on('connection', (socket) => socket.on('error', () => {}))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    counts,
    close: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

async function take(
  { redis, keyOf, random, honoursKeys = true }: OrderServerOptions,
  counts: OrderServer['counts'],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const bytes = await buffer(request)
  const body = JSON.parse(bytes.toString()) as Record<string, unknown>
  counts.requests++
  const early = random()
  if (early < 0.15) {
    counts.early++
    if (early < 0.08) return void request.socket.resetAndDestroy()
    return answer(response, 503, { error: 'busy' }, early < 0.12 ? { 'retry-after-ms': '1' } : {})
  }
  const key = keyOf(request.headers, body)
  if (key === undefined) return answer(response, 400, { error: 'no key' })
  const name = honoursKeys ? `key:${key}` : `key:${counts.requests}`
  const print = createHash('sha256').update(bytes).digest('hex')
  if ((await redis.set(name, JSON.stringify({ print }), { NX: true, PX: lifeMs })) === null) {
    const stored = JSON.parse((await redis.get(name)) ?? '{}') as { print?: string; order?: object }
    if (stored.print !== print) {
      counts.mismatched++
      return answer(response, 422, { error: 'this key was used with another payload' })
    }
    if (!stored.order) {
      counts.inFlight++
      return answer(response, 409, { error: 'in flight' }, { 'retry-after-ms': '2' })
    }
    counts.replayed++
    return answer(response, 200, stored.order)
  }
  const number = await redis.rPush('orders', String(body.reference))
  const order = { number, reference: body.reference }
  const late = random()
  if (late < 0.1) {
    request.socket.resetAndDestroy()
    // Whoever comes back meanwhile finds that the first request still runs.
    for (let trip = 0; trip < 30; trip++) await redis.get(name)
  }
  await redis.set(name, JSON.stringify({ print, order }), { PX: lifeMs })
  if (late >= 0.25) return answer(response, 201, order)
  counts.late++
  if (late < 0.1) return
  if (late < 0.15) return void request.socket.resetAndDestroy()
  if (late < 0.2) return answer(response, 503, { error: 'lost its head' })
  response.writeHead(201, { 'content-type': 'application/json', 'content-length': 1000 })
  response.write('{"number":', () => setImmediate(() => request.socket.resetAndDestroy()))
}

function answer(response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}
