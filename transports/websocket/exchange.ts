import type { Auth } from '../../src/core/call/auth.ts'
import type { Call } from '../../src/core/call/call.ts'
import type { IdempotencyOption } from '../../src/core/call/idempotency.ts'
import type { Reply } from '../../src/core/call/reply.ts'
import type { Services } from '../../src/core/call/scope.ts'
import { anything, callable, checkOptions, either, object, type RulesOf } from '../../src/core/options.ts'
import { type OpeningOptions, openingOption } from '../../src/core/resume/options.ts'
import { authRule, idempotencyRule } from '../shared/option-rules.ts'
import { SocketSessions, socketRules } from '../socket/session/sessions.ts'
import { readSocketUrl } from '../socket/url.ts'
import type { NamedInput, WebSocketBinding } from './operation.ts'
import { plainJson } from './plain-json.ts'
import type { WebSocketTransport, WebSocketTransportOptions } from './types.ts'

const rules: RulesOf<WebSocketTransportOptions> = {
  ...socketRules,
  url: anything,
  auth: authRule,
  opening: openingOption,
  adapter: /* @__PURE__ */ either(/* @__PURE__ */ object('an adapter such as plainJson()'), callable),
  idempotency: idempotencyRule,
}

/** Channels and requests over sockets, one for each principal. */
export class SocketTransport implements WebSocketTransport {
  readonly protocol = 'websocket'
  readonly origin: string
  readonly auth: Auth | false | undefined
  readonly opening: OpeningOptions | undefined
  readonly idempotency: IdempotencyOption | undefined
  readonly #sessions: SocketSessions

  constructor(options: WebSocketTransportOptions) {
    checkOptions('websocketTransport()', options, rules)
    const url = readSocketUrl(options.url)
    this.origin = url.origin
    this.auth = options.auth
    this.opening = options.opening
    this.idempotency = options.idempotency
    this.#sessions = new SocketSessions(url, options.adapter ?? plainJson(), options)
  }

  attach(services: Services, via: string): void {
    this.#sessions.attach(services, via)
  }

  send(call: Call): Promise<Reply> {
    const binding = call.operation.binding as WebSocketBinding
    return binding.send(call, call.input as NamedInput, this.#sessions.of(call))
  }

  async close(): Promise<void> {
    this.#sessions.close()
  }
}
