import { createRequire } from 'node:module'
import { context, metrics, propagation, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'

/** The SDK's own part that a program gets through it: the propagators. */
const core = 'core'
const { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } = createRequire(
  createRequire(import.meta.url).resolve('@opentelemetry/sdk-trace'),
)(`@opentelemetry/${core}`)

/** The real SDK, registered globally, exporting into memory; unregistered by `await using`. */
export function otelSdk() {
  const spans = new InMemorySpanExporter()
  const tracerProvider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter: spans } as never)] })
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const meterProvider = new MeterProvider({ readers: [reader] })
  const contexts = new AsyncLocalStorageContextManager()
  contexts.enable()
  context.setGlobalContextManager(contexts)
  trace.setGlobalTracerProvider(tracerProvider)
  metrics.setGlobalMeterProvider(meterProvider)
  propagation.setGlobalPropagator(
    new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()] }),
  )
  return {
    tracerProvider,
    meterProvider,
    /** Finished spans by their begin; those of one millisecond by their end. */
    spans: (): ReadableSpan[] =>
      [...spans.getFinishedSpans()].sort(({ startTime: a }, { startTime: b }) => a[0] - b[0] || a[1] - b[1]),
    /** Points by the name of their metric. */
    metrics: async () => {
      await reader.forceFlush()
      const found =
        exporter
          .getMetrics()
          .at(-1)
          ?.scopeMetrics.flatMap((scope) => scope.metrics) ?? []
      return new Map(
        found.map(({ descriptor, dataPoints }) => [descriptor.name, { unit: descriptor.unit, dataPoints }]),
      )
    },
    [Symbol.asyncDispose]: async () => {
      trace.disable()
      metrics.disable()
      context.disable()
      propagation.disable()
      await meterProvider.shutdown()
      await tracerProvider.shutdown()
    },
  }
}
