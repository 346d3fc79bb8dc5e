/**
 * `node --conditions=polywire-source scripts/cache-tests.ts ../cache-tests`: the cache of `restTransport({ cache: httpCache() })` judged by
 * https://github.com/http-tests/cache-tests (BSD-3-Clause), of which a checkout with `undici` beside it is named. Prints how
 * many tests there are of each result, by group; fails where fewer pass than `atLeast`. `--failed` lists the others.
 */
import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { httpCache } from 'polywire/rest'
import { Scope } from '../src/core/call/scope.ts'
import { RetryLimits } from '../src/core/retry/limits.ts'
import { DeadlineList, systemClock } from '../src/core/time/clock.ts'
import { freePort } from '../test/support/free-port.ts'
import { requestBuffered } from '../transports/http/collect.ts'
import { UndiciEngine } from '../transports/http/engine/undici/engine.ts'

/**
 * Tests that pass, or that find the cache to do what is optional. It keeps, on purpose, no 500, 502, 503 or 504 that names a
 * lifetime (a retry would be answered by it), and no `Set-Cookie`, as browsers do not.
 */
const atLeast = 240

interface Test {
  readonly id: string
  readonly name: string
  readonly kind?: 'required' | 'optimal' | 'check'
}
interface Suite {
  readonly id: string
  readonly name: string
  readonly tests: readonly Test[]
}

const checkout = process.argv[2]
if (!checkout) throw new Error('name a checkout of http-tests/cache-tests')
const from = (file: string) => import(pathToFileURL(resolve(checkout, file)).href)
const { default: suites } = (await from('tests/index.mjs')) as { readonly default: readonly Suite[] }
const { runTests, getResults } = await from('test-engine/client/runner.mjs')
const { determineTestResult } = await from('test-engine/lib/results.mjs')

const cache = httpCache({ heuristics: true })
const services = {
  clock: systemClock,
  deadlines: new DeadlineList(systemClock),
  limits: new RetryLimits(systemClock),
  telemetry: undefined,
}
const engine = new UndiciEngine()

/** What the tests take for a fetch: what is tested goes by our engine and its cache. */
async function fetchCached(url: string, init: any) {
  const scope = new Scope(services)
  init.signal?.addEventListener('abort', () => scope.abort(init.signal.reason))
  const headers: Record<string, string> = {}
  for (const [name, value] of init.headers as [string, string][]) {
    const key = name.toLowerCase()
    headers[key] = headers[key] === undefined ? value : `${headers[key]}, ${value}`
  }
  const { method = 'GET', body, redirect, dispatcher } = init
  const by = dispatcher ? new UndiciEngine({ dispatcher }) : engine
  const request = {
    method,
    url,
    headers,
    body,
    fetchOptions: { redirect },
    cache: { of: cache, identity: '', services },
  }
  const response = await requestBuffered(by, request, scope, { maxBodyBytes: 1e9 } as never)
  scope.end()
  return { status: response.status, headers: new Headers([...response.headers]), text: async () => response.text() }
}

const port = await freePort()
const settings = { npm_config_protocol: 'http', npm_config_port: String(port), npm_config_pidfile: '/dev/null' }
const server = spawn(process.execPath, ['test-engine/server/server.mjs'], {
  cwd: resolve(checkout),
  env: { ...process.env, ...settings },
  stdio: ['ignore', 'pipe', 'inherit'],
})
await new Promise((done) => server.stdout.once('data', done))

const platformFetch = globalThis.fetch
globalThis.fetch = ((url: string, init: unknown) =>
  String(url).includes('/test/') ? fetchCached(String(url), init) : platformFetch(url, init as never)) as never
try {
  await runTests(suites, false, `http://localhost:${port}`)
} finally {
  server.kill()
  await engine.close()
}

const results = getResults()
const counts = new Map<string, number>()
let passed = 0
for (const suite of suites)
  for (const { id, kind = 'required', name } of suite.tests) {
    if (results[id] === undefined) continue
    const [, , symbol] = determineTestResult(suites, id, results) as [string, string, string]
    const result = `${kind} ${symbol}`
    counts.set(result, (counts.get(result) ?? 0) + 1)
    if (results[id] === true) passed++
    else if (process.argv.includes('--failed')) console.log(symbol, `${suite.id}/${id}`, name, results[id]?.[1] ?? '')
  }
for (const [result, count] of [...counts].sort()) console.log(result, count)
console.log(`${passed} of ${Object.keys(results).length} pass`)
process.exitCode = passed >= atLeast ? 0 : 1
