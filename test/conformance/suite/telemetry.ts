import { inspect } from 'node:util'
import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import pino from 'pino'
import { type CallEvent, combineTelemetry, logTo, onEvent } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { diagnosticsChannel } from 'polywire/node'
import { otel } from 'polywire/otel'
import { describe, expect, it } from 'vitest'
import { otelSdk } from '../../support/otel-sdk.ts'
import { type Harness, serverText } from '../support/harness.ts'
import { failureOf, inWorld } from '../support/world.ts'

const token = 'canary-token-1'
const input = 'canary-input-2'
const header = 'canary-header-3'

/** What all listeners that there are have been told. */
async function listening(run: (heard: Heard) => Promise<void>): Promise<void> {
  await using sdk = otelSdk()
  const lines: string[] = []
  const events: CallEvent[] = []
  const logger = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) })
  const telemetry = combineTelemetry(
    otel(),
    logTo(logger, { levels: { 'call:start': 'info', 'attempt:end': 'info' } }),
    onEvent((event) => events.push(event)),
    diagnosticsChannel(),
  )
  await run({ sdk, lines, events, telemetry })
}

interface Heard {
  readonly sdk: ReturnType<typeof otelSdk>
  readonly lines: string[]
  readonly events: CallEvent[]
  readonly telemetry: ReturnType<typeof combineTelemetry>
}

const isHttp = ({ attributes }: ReadableSpan): boolean => attributes['http.request.method'] !== undefined

/** Spans without a parent, and their children. */
function tree(spans: readonly ReadableSpan[]) {
  const roots = spans.filter(({ parentSpanContext }) => !parentSpanContext)
  const childrenOf = (root: ReadableSpan) =>
    spans.filter(({ parentSpanContext }) => parentSpanContext?.spanId === root.spanContext().spanId)
  return { roots, childrenOf }
}

/** Spans, metrics, events and logs: what is told of calls, in every protocol alike, and what is not. */
export function telemetry(harness: Harness): void {
  const { protocol } = harness
  describe('telemetry', () => {
    it('a call that succeeds at the second attempt has one span, two attempts in it, and says so in figures', () =>
      listening(({ sdk, events, lines, telemetry: all }) =>
        inWorld(harness, { skipsWaits: true, telemetry: all }, async (world) => {
          const { api, peer } = world
          peer.plan({ do: 'refuse', as: harness.unavailable })
          expect(await world.played(api.read('twice'))).toBe('twice')
          await world.client.close()

          const { roots, childrenOf } = tree(sdk.spans())
          expect(roots).toHaveLength(1)
          const [call] = roots as [ReadableSpan]
          const attempts = childrenOf(call)
          expect(call.kind).toBe(protocol === 'grpc-web' ? SpanKind.CLIENT : SpanKind.INTERNAL)
          expect(call.status.code).toBe(SpanStatusCode.UNSET)
          // A socket that was refused keeps a distance, and attempts meanwhile fail.
          const count = attempts.length
          expect(protocol === 'websocket' ? count >= 2 : count === 2, `${count} attempts`).toBe(true)
          expect(call.attributes).toMatchObject({ 'polywire.protocol': protocol, 'polywire.attempts': count })
          expect(call.events.map(({ name }) => name)).toContain('polywire.retry')
          expect(attempts.every(({ kind }) => kind === SpanKind.CLIENT)).toBe(true)
          const failed = attempts.filter(({ status }) => status.code === SpanStatusCode.ERROR)
          expect(failed).toHaveLength(count - 1)
          expect(failed[0]?.attributes['error.type']).toBeTypeOf('string')
          if (attempts.every(isHttp))
            expect(attempts.map(({ attributes }) => attributes['http.request.resend_count']).sort()).toEqual([
              1,
              undefined,
            ])

          const metrics = await sdk.metrics()
          const counted = (name: string) => metrics.get(name)?.dataPoints.length
          expect(metrics.get('polywire.client.retries')?.dataPoints).toMatchObject([{ value: count - 1 }])
          expect(counted(protocol === 'grpc-web' ? 'rpc.client.call.duration' : 'polywire.client.call.duration')).toBe(
            1,
          )
          expect(counted('http.client.request.duration')).toBe(attempts.every(isHttp) ? 2 : undefined)

          const types = events.map(({ type }) => type).filter((type) => /^(?:call|attempt):|^retry$/.test(type))
          const retried = Array.from({ length: count - 1 }, () => ['retry', 'attempt:start', 'attempt:end']).flat()
          expect(types).toEqual(['call:start', 'attempt:start', 'attempt:end', ...retried, 'call:end'])
          expect(events.find(({ type }) => type === 'call:end')).toMatchObject({ attempts: count, error: undefined })
          expect(lines.map((line) => JSON.parse(line).event)).toEqual(events.map(({ type }) => type))
        }),
      ))

    it('the caller’s own abort is no failure of a span', () =>
      listening(({ sdk, telemetry: all }) =>
        inWorld(harness, { telemetry: all }, async (world) => {
          const controller = world.controller()
          world.peer.plan({ do: 'hang' })
          const call = failureOf(world.api.read('left', { signal: controller.signal }))
          await world.served()
          controller.abort(new Error('left'))
          await call
          await world.client.close()
          for (const span of sdk.spans()) {
            expect(span.status.code, span.name).toBe(SpanStatusCode.UNSET)
            expect(span.attributes['error.type'], span.name).toBeUndefined()
          }
          expect(sdk.spans()).toHaveLength(2)
        }),
      ))

    it('no credential, header, input or server’s text stands in a span, a metric, an event or a line of the log', () =>
      listening(({ sdk, events, lines, telemetry: all }) =>
        inWorld(harness, { skipsWaits: true, telemetry: all, auth: bearerAuth(() => token) }, async (world) => {
          const { api, peer } = world
          const options = { headers: { 'x-secret': header } }
          expect(await api.read(input, options)).toBe(input)
          for (const { name } of harness.refusals) {
            peer.plan({ do: 'refuse', as: name }, { do: 'refuse', as: name }, { do: 'refuse', as: name })
            await world.played(failureOf(api.read(input, { ...options, retry: false })))
            peer.plan()
          }
          for (const deed of ['reset', 'cut', 'garble'] as const) {
            if (harness.cannot?.includes(deed)) continue
            peer.plan({ do: deed }, { do: deed }, { do: deed })
            await world.played(api.read(input, { ...options, retry: false }).catch(() => undefined))
          }
          await world.client.close()
          const told = [
            inspect(
              sdk
                .spans()
                .map(({ name, attributes, events: of, status, links }) => ({ name, attributes, of, status, links })),
              { depth: 9 },
            ),
            inspect(await sdk.metrics(), { depth: 9 }),
            JSON.stringify(events),
            inspect(events, { depth: 9 }),
            ...lines,
          ].join('\n')
          expect(sdk.spans().length).toBeGreaterThan(2)
          for (const secret of [token, input, header, serverText]) expect(told).not.toContain(secret)
        }),
      ))
  })
}
