import { format, inspect } from 'node:util'
import { type Call, createClient, isCallError, type TelemetryEvent } from 'polywire'
import { virtualClock } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { freshSeed, seeded } from '../support/seeded.ts'
import { fetchFace } from './harnesses/fetch.ts'
import { graphql } from './harnesses/graphql.ts'
import { grpcWeb } from './harnesses/grpc-web.ts'
import { rest } from './harnesses/rest.ts'
import { sse } from './harnesses/sse.ts'
import { websocket } from './harnesses/websocket.ts'
import { authKinds, canaries, canary } from './support/auth-kinds.ts'
import { turns } from './support/eventually.ts'
import type { Deed, Harness } from './support/harness.ts'

const harnesses: readonly (readonly [string, Harness])[] = [
  ['REST', rest],
  ['GraphQL', graphql],
  ['gRPC-Web', grpcWeb('own')],
  ['WebSocket', websocket],
  ['SSE', sse],
  ['the fetch face', fetchFace],
]
const rounds = 40

/** Every way in which people put a value into a log. */
function written(value: unknown): string {
  const lines = [
    JSON.stringify(value),
    JSON.stringify({ nested: [value] }),
    inspect(value),
    inspect(value, { depth: 9 }),
    inspect({ nested: { deeper: [value] } }, { depth: 9 }),
    format('%s %o %j', value, value, value),
    `${String(value)}`,
  ]
  if (value instanceof Error) lines.push(String(value.stack), value.message)
  return lines.join('\n')
}

/** What is logged of one call that goes wrong somewhere. */
async function logged(harness: Harness, kind: string, deeds: readonly Deed[], isAborted: boolean) {
  const peer = await harness.start()
  const clock = virtualClock()
  const things: unknown[] = []
  const note = (value: Call | TelemetryEvent) => void things.push(value)
  const client = createClient({
    transports: { [harness.protocol]: harness.transport(peer.origin) } as never,
    auth: authKinds[kind]?.() as never,
    clock,
    timeoutMs: 2000,
    retry: { maxAttempts: 2 },
    telemetry: {
      call: (call) => {
        note(call)
        return (error) => void things.push(error)
      },
      attempt: (call) => {
        note(call)
        return (error) => void things.push(error)
      },
      event: (event) => {
        note(event)
        if ('waitMs' in event) void turns().then(() => clock.advance(event.waitMs + 1))
      },
    },
  })
  peer.plan(...deeds)
  const abort = new AbortController()
  const options = { headers: { 'x-own': canary, cookie: `own=${canary}` }, signal: abort.signal }
  const api = harness.api(client as never, peer.origin)
  const outcome = (harness.has.includes('write') ? api.write : api.read)?.(canary, options)
  const settled = outcome?.then(
    () => undefined,
    (error: unknown) => error,
  )
  let isOver = false
  void settled?.then(() => {
    isOver = true
  })
  for (let turn = 0; turn < 200 && !isOver; turn++) {
    await turns()
    // What a server leaves open for ever, its caller leaves in the end.
    if (turn > (isAborted ? 5 : 100)) abort.abort()
    if (turn > 10) await clock.advance(100)
  }
  const error = await settled
  if (error !== undefined && !(error instanceof Response)) things.push(error)
  await client.close()
  await peer.close()
  return { things, error }
}

function deedsOf(harness: Harness, random: () => number): Deed[] {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const all: (() => Deed)[] = [
    () => ({ do: 'refuse', as: pick(harness.refusals).name }),
    () => ({ do: 'refuse', as: pick(harness.refusals).name }),
    () => ({ do: 'answer', status: pick([400, 401, 403, 404, 419, 429, 500, 503]) }),
    () => ({ do: 'answer', status: 401, headers: { 'www-authenticate': 'Digest realm="r", nonce="n", qop="auth"' } }),
    () => ({
      do: 'answer',
      status: 401,
      headers: { 'www-authenticate': 'DPoP error="use_dpop_nonce"', 'dpop-nonce': 'n' },
    }),
    () => ({ do: 'answer', status: 307, headers: { location: 'ftp://elsewhere.test/' } }),
    () => ({ do: 'busy', retryAfterS: 1 }),
    () => ({ do: 'reset' }),
    () => ({ do: 'cut' }),
    () => ({ do: 'flood' }),
    () => ({ do: 'garble' }),
    () => ({ do: 'hang' }),
    () => ({ do: 'stall' }),
  ]
  const can = (deed: Deed): boolean => !harness.cannot?.includes(deed.do)
  return Array.from({ length: 3 }, () => {
    for (;;) {
      const deed = pick(all)()
      if (can(deed)) return deed
    }
  })
}

describe.each(harnesses)('over %s', (name, harness) => {
  it('no error, call or event shows a secret, whatever fails, whoever proves it', async () => {
    const seed = freshSeed()
    const random = seeded(seed)
    let failures = 0
    for (let round = 0; round < rounds; round++) {
      const kinds = Object.keys(authKinds)
      const kind = kinds[round % kinds.length] as string
      const deeds = deedsOf(harness, random)
      const where = `SEED=${seed} round ${round}: ${name}, ${kind}, ${JSON.stringify(deeds)}`
      const { things, error } = await logged(harness, kind, deeds, random() < 0.1)
      if (error !== undefined) failures++
      expect(things.length, where).toBeGreaterThan(0)
      for (const thing of things) {
        const text = written(thing)
        for (const secret of canaries)
          expect(text.includes(secret), `${where}\n${secret} in ${text.slice(0, 2000)}`).toBe(false)
      }
      if (isCallError(error)) expect(written(error), where).toContain(error.code)
    }
    // Else nothing was proven.
    expect(failures, `SEED=${seed}`).toBeGreaterThan(rounds / 3)
  })
})
