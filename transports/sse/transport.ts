import { EventParsers } from '#platform'
import type { Auth } from '../../src/core/call/auth.ts'
import type { Call } from '../../src/core/call/call.ts'
import type { Reply } from '../../src/core/call/reply.ts'
import type { Scope } from '../../src/core/call/scope.ts'
import { aboveZero, checkOptions, has, list, object, type RulesOf, takes, text } from '../../src/core/options.ts'
import { type OpeningOptions, openingOption } from '../../src/core/resume/options.ts'
import { selectEngine } from '../http/choose.ts'
import type { HttpEngine } from '../http/contract.ts'
import { SseExchange, type SseSettings } from '../http/event-stream/event-exchange.ts'
import { SseLife } from '../http/event-stream/life.ts'
import { openStream } from '../http/event-stream/stream-exchange.ts'
import { queryStyleRule, requestRules } from '../http/option-rules.ts'
import { readBaseUrl } from '../shared/base-url.ts'
import { headerKeyRule } from '../shared/option-rules.ts'
import type { SseHinting, SseHints } from './hints.ts'
import type { SseBinding } from './operation.ts'
import { SseRequests } from './request.ts'
import type { SseShares, SseSharing } from './share.ts'
import type { SseTransport, SseTransportOptions } from './types.ts'

const rules: RulesOf<SseTransportOptions> = {
  ...requestRules,
  baseUrl: text,
  query: /* @__PURE__ */ object('an object'),
  queryStyle: queryStyleRule,
  origins: list,
  cursorQuery: text,
  idempotency: headerKeyRule,
  idleTimeoutMs: aboveZero,
  maxEventBytes: aboveZero,
  share: /* @__PURE__ */ takes('sharing()', /* @__PURE__ */ has('start')),
  hints: /* @__PURE__ */ takes('streamHints()', /* @__PURE__ */ has('start')),
  opening: openingOption,
}

/** Opens event streams over HTTP, each call one connection or a part of one. */
export class HttpSseTransport implements SseTransport {
  readonly protocol = 'sse'
  readonly origin: string
  readonly url: string
  readonly auth: Auth | false | undefined
  readonly idempotency: SseTransportOptions['idempotency']
  readonly opening: OpeningOptions | undefined
  readonly linkOptions: () => SseTransportOptions
  readonly #engine: HttpEngine
  /** Undefined where each call has a connection. */
  readonly #share: SseSharing | undefined
  readonly #requests: SseRequests
  /** What the streams of all calls have in common. */
  readonly #settings: Omit<SseSettings, 'reader' | 'life' | 'cursorWay'>
  /** By the root of a call's scopes: what outlives one connection of its stream. */
  readonly #lives = new WeakMap<Scope, SseLife>()

  readonly #hints: SseHints | undefined

  constructor(options: SseTransportOptions) {
    const base = readBaseUrl(options?.baseUrl, 'sseTransport')
    checkOptions('sseTransport()', options, rules)
    const { idleTimeoutMs, maxEventBytes = 1 << 24, share, hints: hinting } = options
    this.origin = base.origin
    this.url = base.prefix
    this.auth = options.auth
    this.idempotency = options.idempotency
    this.linkOptions = () => options
    this.opening = options.opening
    const hints = hinting && (hinting as SseHinting).start(base.origin)
    this.#hints = hints
    this.#settings = {
      idleTimeoutMs,
      maxEventBytes,
      parsers: new EventParsers(maxEventBytes),
      onOmitted: (call) => {
        this.#requests.forgoHeader()
        hints?.tellOmitted(call)
      },
    }
    this.#requests = new SseRequests(base, options)
    this.#engine = selectEngine(options)
    this.#share = share && (share as SseShares).start(this.#engine, hints)
  }

  send(call: Call): Promise<Reply> {
    try {
      const life = this.#lifeOf(call)
      const cursorWay = this.#requests.cursorWay(call, life.mustOmitCursor)
      const request = this.#requests.make(call, cursorWay)
      const { reader, open, Exchange = SseExchange } = call.operation.binding as SseBinding
      const opened = open?.(this.#engine, request, call)
      if (opened) return opened
      const exchange = new Exchange(call, { ...this.#settings, reader, life, cursorWay })
      return openStream(this.#sender(call, life, cursorWay === 'omitted'), request, exchange)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #lifeOf(call: Call): SseLife {
    const { root } = call.scope
    const known = this.#lives.get(root)
    if (known) return known
    const life = new SseLife()
    this.#lives.set(root, life)
    // A connection that is shared is counted by who shares it.
    if (this.#hints && !this.#share) {
      this.#hints.came(call)
      root.onEnd(() => this.#hints?.left())
    }
    return life
  }

  close(): Promise<void> {
    return this.#engine.close()
  }

  #sender(call: Call, life: SseLife, isOmitted: boolean): Pick<HttpEngine, 'send'> {
    const sender =
      this.#share?.for({
        call,
        key: this.#share.keyOf(call, (each) => this.#requests.make(each)),
        after: isOmitted ? undefined : call.cursor,
        canResume: () => life.hasIds && call.operation.isResumable === true,
      }) ?? this.#engine
    return this.#hints?.for(sender, call) ?? sender
  }
}
