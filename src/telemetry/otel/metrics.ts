import type { TelemetryEvent } from '../../core/call/telemetry.ts'
import type { Attributes, Counter, Histogram, MeterProvider } from './peer-opentelemetry.ts'
import type { OpenTelemetry } from './peers.ts'

/** As the conventions advise, in seconds. */
const boundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

/** The instruments of one meter provider. */
interface Instruments {
  readonly isHeard: boolean
  readonly http: Histogram
  readonly rpc: Histogram
  readonly call: Histogram
  readonly counters: Readonly<Partial<Record<TelemetryEvent['type'], Counter>>>
}

/** Metrics of calls: made of whatever meter provider is registered when one is recorded, since that may come late. */
export class CallMetrics {
  readonly #api: OpenTelemetry
  readonly #given: MeterProvider | undefined
  #provider: MeterProvider | undefined
  #instruments: Instruments | undefined

  constructor(api: OpenTelemetry, provider: MeterProvider | undefined) {
    this.#api = api
    this.#given = provider
  }

  /** There is a meter that is one. */
  get isHeard(): boolean {
    return this.#of().isHeard
  }

  recordAttempt(durationMs: number, attributes: Attributes): void {
    this.#of().http.record(durationMs / 1000, attributes)
  }

  recordCall(durationMs: number, attributes: Attributes, isRpc: boolean): void {
    this.#of()[isRpc ? 'rpc' : 'call'].record(durationMs / 1000, attributes)
  }

  count(event: TelemetryEvent): void {
    const counter = this.#of().counters[event.type]
    if (!counter) return
    const operation = 'call' in event ? event.call?.operation : undefined
    const via = operation?.via ?? ('via' in event ? event.via : undefined)
    counter.add(1, {
      ...(operation && { 'polywire.operation': operation.name, 'polywire.protocol': operation.protocol }),
      ...(via !== undefined && { 'polywire.transport': via }),
      ...(event.type === 'gap' && { 'polywire.gap.reason': event.gap.reason }),
    })
  }

  #of(): Instruments {
    const provider = this.#given ?? this.#api.metrics.getMeterProvider()
    if (!this.#instruments || provider !== this.#provider) {
      this.#provider = provider
      this.#instruments = instrumentsOf(this.#api, provider)
    }
    return this.#instruments
  }
}

function instrumentsOf({ createNoopMeter }: OpenTelemetry, provider: MeterProvider): Instruments {
  const meter = provider.getMeter('polywire')
  const duration = (name: string, description: string) =>
    meter.createHistogram(name, { unit: 's', description, advice: { explicitBucketBoundaries: boundaries } })
  const counter = (name: string, unit: string, description: string) =>
    meter.createCounter(`polywire.client.${name}`, { unit: `{${unit}}`, description })
  const reopens = counter('reopens', 'reopen', 'Streams that were opened again after a drop.')
  const deprecations = counter('deprecations', 'operation', 'Operations of which a server announced the end.')
  return {
    isHeard: meter !== createNoopMeter(),
    http: duration('http.client.request.duration', 'Duration of HTTP client requests.'),
    rpc: duration('rpc.client.call.duration', 'Measures the duration of an outgoing Remote Procedure Call (RPC).'),
    call: duration('polywire.client.call.duration', 'Duration of calls, with all that they took.'),
    counters: {
      retry: counter('retries', 'retry', 'Attempts that were made after a failed one.'),
      refresh: counter('refreshes', 'refresh', 'Credentials that were asked for anew.'),
      reconnect: counter('reconnects', 'reconnect', 'Sockets that were connected again.'),
      resume: reopens,
      continued: reopens,
      gap: counter('gaps', 'gap', 'Places where messages of a stream are missing, or may be.'),
      route: counter('route_changes', 'change', 'Calls and streams that took another route.'),
      deprecation: deprecations,
      sunset: deprecations,
      warning: counter('warnings', 'warning', 'What a developer should know, and no call failed of.'),
    },
  }
}
