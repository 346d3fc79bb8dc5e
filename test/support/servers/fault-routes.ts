import { gzipSync } from 'node:zlib'
import type { Exchange, Route } from './fault-server.ts'

const number = (exchange: Exchange, name: string, fallback: number) => Number(exchange.query.get(name) ?? fallback)

/**
 * Faults by path. A trailing `/*` takes the rest of the path. Numbers come by query.
 *
 * | path | what happens |
 * | --- | --- |
 * | `/json` | 200 `{ "ok": true }` |
 * | `/echo` | 200 with `{ method, path, query, headers, body }` as it arrived |
 * | `/status/503?retry-after=1` | that status with a JSON error; every query parameter becomes a header |
 * | `/flaky?failures=2&status=503` | that status for the first requests, then 200 `{ "ok": true, "nth": n }` |
 * | `/bytes?size=1000` | that many bytes `x`, with content-length; `&chunked=1` without |
 * | `/encoded` | 200 JSON, gzipped |
 * | `/never` | reads the request and never answers |
 * | `/stall?size=10` | head with `content-length: 1000`, that many bytes, then silence |
 * | `/reset` | RST before any byte; `?first=n` only for the first n requests, then `/json` |
 * | `/cut` | FIN before any byte; `?first=n` likewise |
 * | `/reset-body?size=10` | head with `content-length: 1000`, that many bytes, RST; `?first=n` likewise |
 * | `/cut-body?size=10` | the same with FIN |
 * | `/cut-chunked?size=10` | a chunked body without its last chunk, FIN |
 * | `/garbage` | bytes that are no HTTP |
 * | `/large-header?size=100000` | a header of that size |
 * | `/redirect/302?to=/json` | that status with that Location |
 * | `/loop` | redirects to itself |
 * | `/trailers` | a chunked body with the trailer `x-checksum: 1` |
 * | `/hints` | 103 early hints, then `/json` |
 * | `/close` | `/json` with `connection: close` |
 * | `/stale` | `/json`; the second request on the same connection is reset unanswered |
 */
export const faultRoutes: Readonly<Record<string, Route>> = {
  '/json': (exchange) => exchange.reply(200, { ok: true }),
  '/echo': async (exchange) => {
    const body = (await exchange.body()).toString('latin1')
    const { method, path, headers } = exchange
    exchange.reply(200, { method, path, query: Object.fromEntries(exchange.query), headers, body })
  },
  '/status/*': async (exchange) => {
    await exchange.body()
    const status = Number(exchange.path.split('/')[2])
    const error = { error: { code: `STATUS_${status}`, message: 'as asked' } }
    exchange.reply(status, status === 204 || status === 304 ? '' : error, Object.fromEntries(exchange.query))
  },
  '/flaky': async (exchange) => {
    await exchange.body()
    const isFailing = exchange.nth <= number(exchange, 'failures', 1)
    if (isFailing) exchange.reply(number(exchange, 'status', 503), { error: { code: 'FLAKY', message: 'as asked' } })
    else exchange.reply(200, { ok: true, nth: exchange.nth })
  },
  '/bytes': async (exchange) => {
    const size = number(exchange, 'size', 1000)
    exchange.head(200, exchange.query.has('chunked') ? {} : { 'content-length': String(size) })
    const block = Buffer.alloc(16_384, 'x')
    for (let left = size; left > 0 && !exchange.response.destroyed; left -= block.length) {
      await exchange.write(left >= block.length ? block : block.subarray(0, left))
    }
    exchange.end()
  },
  '/encoded': (exchange) => {
    const headers = { 'content-encoding': 'gzip', 'content-type': 'application/json' }
    exchange.reply(200, gzipSync(JSON.stringify({ ok: true, text: 'x'.repeat(10_000) })), headers)
  },
  '/never': (exchange) => void exchange.request.resume(),
  '/stall': (exchange) => partial(exchange),
  '/reset': (exchange) => failing(exchange, () => exchange.reset()),
  '/cut': (exchange) => failing(exchange, () => exchange.cut()),
  '/reset-body': (exchange) =>
    failing(exchange, async () => {
      await partial(exchange)
      // An RST may overtake bytes that the peer has not read yet: wait until they are its own.
      setImmediate(() => exchange.reset())
    }),
  '/cut-body': (exchange) => failing(exchange, () => partial(exchange).then(() => exchange.cut())),
  '/cut-chunked': (exchange) =>
    failing(exchange, async () => {
      exchange.head(200)
      await exchange.write('x'.repeat(number(exchange, 'size', 10)))
      exchange.cut()
    }),
  '/garbage': (exchange) => {
    exchange.raw('SSH-2.0-OpenSSH_9.9\r\n\r\n')
    exchange.cut()
  },
  '/large-header': (exchange) => exchange.reply(200, '', { 'x-large': 'x'.repeat(number(exchange, 'size', 100_000)) }),
  '/redirect/*': async (exchange) => {
    await exchange.body()
    exchange.reply(Number(exchange.path.split('/')[2]), 'moved', { location: exchange.query.get('to') ?? '/json' })
  },
  '/loop': (exchange) => exchange.reply(302, '', { location: '/loop' }),
  '/trailers': async (exchange) => {
    exchange.head(200, { trailer: 'x-checksum' })
    await exchange.write('hello')
    exchange.response.addTrailers({ 'x-checksum': '1' })
    exchange.end()
  },
  '/hints': (exchange) => {
    exchange.response.writeEarlyHints({ link: '</style.css>; rel=preload' })
    exchange.reply(200, { ok: true })
  },
  '/close': (exchange) => exchange.reply(200, { ok: true }, { connection: 'close' }),
  '/stale': (exchange) => {
    const socket = exchange.socket as typeof exchange.socket & { isStale?: boolean }
    if (socket.isStale) return exchange.reset()
    socket.isStale = true
    exchange.reply(200, { ok: true })
  },
}

async function partial(exchange: Exchange): Promise<void> {
  await exchange.body()
  exchange.head(200, { 'content-length': '1000' })
  await exchange.write('x'.repeat(number(exchange, 'size', 10)))
}

/** Fails always, or only the first n requests. */
async function failing(exchange: Exchange, fail: () => void | Promise<void>): Promise<void> {
  await exchange.body()
  if (exchange.nth <= number(exchange, 'first', Number.POSITIVE_INFINITY)) await fail()
  else exchange.reply(200, { ok: true, nth: exchange.nth })
}
