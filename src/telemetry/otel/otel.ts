import type { Call } from '../../core/call/call.ts'
import { tellDeprecation } from '../../core/call/deprecation.ts'
import { readHeaders } from '../../core/call/header-map.ts'
import { type Interceptor, type Next, trusted } from '../../core/call/interceptor.ts'
import type { Reply } from '../../core/call/reply.ts'
import type { Scope } from '../../core/call/scope.ts'
import type { Finish, Telemetry, TelemetryEvent } from '../../core/call/telemetry.ts'
import { isAnyCallError } from '../../core/errors/error.ts'
import { guard, notify } from '../../core/guard.ts'
import { callable, checkOptions, flag, has, type RulesOf, takes } from '../../core/options.ts'
import { finishing } from '../../interceptors/telemetry.ts'
import { statusOf } from '../events.ts'
import { Descriptions, type Ending, endingOf, type Named } from './attributes.ts'
import { CallMetrics } from './metrics.ts'
import type { Attributes, Context, MeterProvider, Span, Tracer, TracerProvider } from './peer-opentelemetry.ts'
import { type OpenTelemetry, openTelemetry } from './peers.ts'

/** What `otel()` makes of calls. */
export interface OtelOptions {
  /** Makes the spans. @defaultValue the global one */
  readonly tracerProvider?: TracerProvider | undefined
  /** Makes the instruments. @defaultValue the global one */
  readonly meterProvider?: MeterProvider | undefined
  /**
   * A span for every attempt, whose trace context goes along. `false` where an instrumentation of undici or fetch makes
   * them: then it also injects.
   *
   * @defaultValue true
   */
  readonly attemptSpans?: boolean | undefined
  /** Durations and counts are recorded. @defaultValue true */
  readonly metrics?: boolean | undefined
  /** More attributes for the span of a call. What they show is yours to answer for. */
  readonly attributes?: ((call: Call) => Attributes) | undefined
}

const rules: RulesOf<OtelOptions> = {
  tracerProvider: /* @__PURE__ */ takes('a TracerProvider', /* @__PURE__ */ has('getTracer')),
  meterProvider: /* @__PURE__ */ takes('a MeterProvider', /* @__PURE__ */ has('getMeter')),
  attemptSpans: flag,
  metrics: flag,
  attributes: callable,
}

/** What there is once the API is loaded. */
interface Loaded {
  readonly api: OpenTelemetry
  readonly metrics: CallMetrics | undefined
}

/** The span of a call, and the context that its attempts begin in. */
interface Watched {
  readonly span: Span
  readonly inside: Context
  /** An SDK hears of it. */
  readonly isHeard: boolean
}

/**
 * Spans and metrics by OpenTelemetry's semantic conventions: one span for a call, one inside for each attempt, whose trace
 * context goes to the server. It shows no credential, header, input or filled URL.
 *
 * Where `@opentelemetry/api` is not installed, each call fails with `failed_precondition` and the command that installs it.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * createClient({ transports, telemetry: otel() })
 */
export function otel(options: OtelOptions = {}): Telemetry {
  checkOptions('otel()', options, rules)
  openTelemetry.preload()
  return new OtelTelemetry(options)
}

class OtelTelemetry implements Telemetry {
  readonly around: { readonly call: Interceptor; readonly attempt?: Interceptor }
  readonly #options: OtelOptions
  readonly #descriptions = new Descriptions()
  #loaded: Loaded | undefined
  readonly #watched = new WeakMap<Scope, Watched>()
  #known: { readonly provider: TracerProvider; readonly tracer: Tracer } | undefined

  constructor(options: OtelOptions) {
    this.#options = options
    const watchCall =
      (next: Next): Next =>
      (call) => {
        if (this.#loaded) return this.#call(call, next)
        const api = openTelemetry.get(call)
        if (!(api instanceof Promise)) return this.#load(api).#call(call, next)
        return api.then((loaded) => this.#load(loaded).#call(call, next))
      }
    const watchAttempt =
      (next: Next): Next =>
      (call) =>
        this.#attempt(call, next)
    this.around = {
      call: trusted(watchCall),
      ...(options.attemptSpans !== false && { attempt: trusted(watchAttempt) }),
    }
  }

  #load(api: OpenTelemetry): this {
    const { metrics, meterProvider } = this.#options
    this.#loaded ??= { api, metrics: metrics === false ? undefined : new CallMetrics(api, meterProvider) }
    return this
  }

  /** Only behind the first call. */
  get #api(): OpenTelemetry {
    return (this.#loaded as Loaded).api
  }

  get #metrics(): CallMetrics | undefined {
    return this.#loaded?.metrics
  }

  /** What policies decide stands as an event on the span of its call, and is counted. */
  event(event: TelemetryEvent): void {
    this.#metrics?.count(event)
    const call = 'call' in event ? event.call : undefined
    const span = call && this.#watched.get(call.scope.root)?.span
    span?.addEvent(`polywire.${event.type}`, attributesOf(event))
  }

  /** A tracer that is none yet turns into one when an SDK is registered; a provider that was replaced is asked anew. */
  #tracer(): Tracer {
    const provider = this.#options.tracerProvider ?? this.#api.trace.getTracerProvider()
    if (!this.#known || provider !== this.#known.provider)
      this.#known = { provider, tracer: provider.getTracer('polywire') }
    return this.#known.tracer
  }

  /** What the SDK, or a part of it that is the user's, throws costs the call nothing but its span. */
  #begin(call: Call, { name, kind }: Named, attributes: Attributes, outer: Context): Watched | undefined {
    let begun: Watched | undefined
    const begin = (): void => {
      const { trace } = this.#api
      const span = this.#tracer().startSpan(name, { kind, attributes }, outer)
      const isHeard = trace.isSpanContextValid(span.spanContext())
      begun = { span, inside: trace.setSpan(outer, span), isHeard }
    }
    notify('the tracer of otel()', begin, call.scope.services.telemetry)
    return begun
  }

  #call(call: Call, next: Next): Promise<Reply> {
    const named = this.#descriptions.of(call).call
    const own = this.#options.attributes && this.#own(call)
    const begun = this.#begin(
      call,
      named,
      own ? { ...own, ...named.attributes } : named.attributes,
      this.#outerOf(call),
    )
    // Without an SDK nobody hears of it.
    const { context } = this.#api
    if (!begun || !(begun.isHeard || this.#isCounted(call))) return next(call)
    const { span, inside } = begun
    this.#watched.set(call.scope.root, begun)
    const begin = performance.now()
    return finishing(
      (error, reply) => this.#endCall(call, span, performance.now() - begin, statusOf(error, reply), error),
      call,
      (inner) => context.with(inside, next, undefined, inner),
      true,
    )
  }

  /** Whether a meter is there, which may be the user's. */
  #isCounted(call: Call): boolean {
    let isCounted = false
    const look = (): void => {
      isCounted = this.#metrics?.isHeard === true
    }
    notify('the meter of otel()', look, call.scope.services.telemetry)
    return isCounted
  }

  /** Attributes of the user's; what throws there costs the span nothing. */
  #own(call: Call): Attributes | undefined {
    try {
      return guard('attributes of otel()', () => this.#options.attributes?.(call))
    } catch {
      return undefined
    }
  }

  #endCall(call: Call, span: Span, durationMs: number, status: number | undefined, error: unknown): void {
    const isRpc = call.operation.protocol === 'grpc-web'
    const ending = endingOf(isRpc ? 'rpc' : 'call', call, error, status)
    span.setAttribute('polywire.attempts', call.scope.root.sends)
    endSpan(span, ending)
    const { metricAttributes } = this.#descriptions.of(call)
    this.#metrics?.recordCall(durationMs, { ...metricAttributes, ...ending.attributes }, isRpc)
  }

  #attempt(call: Call, next: Next): Promise<Reply> {
    const { attempt } = this.#descriptions.of(call)
    const { attributes, isHttp, metricAttributes } = attempt
    const outer = this.#watched.get(call.scope.root)?.inside
    if (!outer) return next(call)
    const resends = call.scope.root.sends
    const counted = resends > 0 && isHttp ? { ...attributes, 'http.request.resend_count': resends } : attributes
    const begun = this.#begin(call, attempt, counted, outer)
    if (!begun) return next(call)
    const { span, inside } = begun
    const begin = performance.now()
    let isOver = false
    const end: Finish = (error, reply) => {
      if (isOver) return
      isOver = true
      const durationMs = performance.now() - begin
      const tell = (): void => {
        const ending = endingOf(isHttp ? 'http' : 'call', call, error, statusOf(error, reply))
        if (isHttp) this.#metrics?.recordAttempt(durationMs, { ...metricAttributes, ...ending.attributes })
        endSpan(span, ending)
      }
      notify('otel()', tell, call.scope.services.telemetry)
    }
    // A transport may ignore an abort; its span does not.
    const off = call.scope.onEnd(() => end(call.scope.reason))
    const finish: Finish = (error, reply) => {
      off()
      tellDeprecation(call, (reply ?? (isAnyCallError(error) ? error : undefined))?.headers)
      end(error, reply)
    }
    const { context } = this.#api
    return finishing(
      finish,
      this.#withTrace(call, inside),
      (inner) => context.with(inside, next, undefined, inner),
      false,
    )
  }

  /** A server without a tracer of its own may have handed on the trace of what it handles. */
  #outerOf(call: Call): Context {
    const { context, propagation, trace } = this.#api
    const active = context.active()
    if (trace.getSpan(active) || call.headers.traceparent === undefined) return active
    let extracted = active
    const extract = (): void => {
      extracted = propagation.extract(active, call.headers)
    }
    notify('the propagator of otel()', extract, call.scope.services.telemetry)
    return extracted
  }

  /** The call with the trace of its attempt, unless its caller names one. */
  #withTrace(call: Call, inside: Context): Call {
    const { propagation } = this.#api
    const headers: Record<string, string> = {}
    notify('the propagator of otel()', () => propagation.inject(inside, headers), call.scope.services.telemetry)
    const own = call.options.headers && readHeaders(call.options.headers)
    if (own) for (const name in headers) if (name in own) delete headers[name]
    return Object.keys(headers).length > 0 ? call.withHeaders(headers) : call
  }
}

function endSpan(span: Span, { attributes, errorType, description }: Ending): void {
  span.setAttributes(attributes)
  if (errorType !== undefined)
    // SpanStatusCode.ERROR
    span.setStatus({ code: 2, ...(description !== undefined && { message: description }) })
  span.end()
}

/** Figures and names of an event; cursors and errors' texts may be data. */
function attributesOf(event: TelemetryEvent): Attributes {
  const { waitMs, from, to, operation, state, repeated, error } = event as Readonly<Record<string, unknown>>
  const code = (error as { readonly code?: unknown } | undefined)?.code
  const all = {
    'polywire.wait_ms': waitMs,
    'polywire.route.from': event.type === 'route' ? from : undefined,
    'polywire.route.to': event.type === 'route' ? to : undefined,
    'polywire.continued_by': operation,
    'polywire.stream.state': state,
    'polywire.repeated': repeated,
    'polywire.gap.reason': event.type === 'gap' ? event.gap.reason : undefined,
    'polywire.gap.lost': event.type === 'gap' ? event.gap.lost : undefined,
    'polywire.warning': event.type === 'warning' ? event.message : undefined,
    'error.type': typeof code === 'string' ? code : undefined,
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Attributes
}
