import { subscribe } from 'node:diagnostics_channel'
import pino from 'pino'
import { createClient, logTo, onEvent, type Telemetry, type } from 'polywire'
import { diagnosticsChannel, forwardIncoming, withIncoming } from 'polywire/node'
import { otel } from 'polywire/otel'
import { get, restTransport } from 'polywire/rest'
import type { Comparison } from './support/ab.ts'
import { lanes } from './support/ab.ts'

const user = get('/users/{id}', { output: type<{ readonly name: string }>() })

/** What listeners cost a call, and that those whom nobody hears cost none. */
export function telemetry(
  port: number,
  rounds: number,
): { readonly comparisons: Comparison[]; close(): Promise<void> } {
  const clients: { close(): Promise<void> }[] = []
  const by = (hook: Telemetry | undefined, isForwarding = false) => {
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: `http://127.0.0.1:${port}` }) },
      ...(hook && { telemetry: hook }),
      ...(isForwarding && { interceptors: [forwardIncoming()] }),
    })
    clients.push(client)
    const api = client.bind({ user })
    return () => api.user({ id: 42 })
  }
  const compared = (title: string, variants: Record<string, () => Promise<unknown>>): Comparison => ({
    title,
    calls: 160,
    rounds: rounds * 5,
    warmUpCalls: 4_000,
    variants: Object.entries(variants).map(([name, call]) => ({ name, run: lanes(16, call) })),
  })
  const heard: Telemetry = diagnosticsChannel()
  const quietLog = pino({ level: 'error' }, { write: () => undefined })
  const forwarding = by(undefined, true)
  const request = {
    headers: { 'grpc-timeout': '20S', 'x-request-id': 'r', traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` },
  }
  return {
    comparisons: [
      compared('REST GET, 16 at a time: what listeners cost that nobody hears', {
        'no telemetry': by(undefined),
        'diagnosticsChannel(), no subscriber': by(diagnosticsChannel()),
        'logTo(), level too low': by(logTo(quietLog)),
        'otel(), no SDK': by(otel()),
        'forwardIncoming(), no request': forwarding,
      }),
      compared('REST GET, 16 at a time: what listeners cost', {
        'no telemetry': by(undefined),
        'onEvent()': by(onEvent(() => undefined)),
        'diagnosticsChannel(), one subscriber': subscribed(by(heard)),
        'forwardIncoming(), in a request': () => withIncoming(request, forwarding),
      }),
    ],
    close: async () => void (await Promise.all(clients.map((client) => client.close()))),
  }
}

/** Somebody listens from the first call on. */
function subscribed<T>(call: () => Promise<T>): () => Promise<T> {
  let isHeard = false
  return () => {
    if (!isHeard) for (const type of ['call:start', 'call:end']) subscribe(`polywire:${type}`, () => undefined)
    isHeard = true
    return call()
  }
}
