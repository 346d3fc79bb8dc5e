import { idempotencyProfiles } from '../../src/core/call/idempotency.ts'
import {
  anything,
  callable,
  either,
  flag,
  list,
  object,
  oneOf,
  orFalse,
  type RulesOf,
  takes,
  text,
} from '../../src/core/options.ts'
import type { HttpOptions } from './contract.ts'

/** What every transport over HTTP takes of a fetch: its own options pass unread. */
const httpRules: RulesOf<HttpOptions> = {
  http: /* @__PURE__ */ either(/* @__PURE__ */ oneOf('auto', 'undici', 'fetch'), callable),
  dispatcher: anything,
  credentials: text,
  mode: text,
  cache: text,
  redirect: /* @__PURE__ */ oneOf('follow', 'error', 'manual'),
  priority: text,
  keepalive: flag,
}

/** What makes a credential, or `false` for none. */
const authRule = /* @__PURE__ */ orFalse(
  /* @__PURE__ */ takes(
    'what bearerAuth(), apiKeyAuth() or basicAuth() makes',
    (value) => typeof (value as { credential?: unknown } | null)?.credential === 'function',
  ),
)

/** The name of a profile, or `false` for no keys. */
export const idempotencyRule = /* @__PURE__ */ oneOf(false, .../* @__PURE__ */ Object.keys(idempotencyProfiles))

/** What transports that send requests to a server have in common. */
export const requestRules = {
  ...httpRules,
  auth: authRule,
  headers: /* @__PURE__ */ object('Headers, a Map, pairs or a plain object'),
  crossOriginHeaders: list,
  deadlineHeader: anything,
}

/** How queries are written. */
export const queryStyleRule = /* @__PURE__ */ object("an object such as { arrays: 'repeat', nulls: 'empty' }", {
  arrays: /* @__PURE__ */ oneOf('repeat', 'brackets', 'indices', 'comma'),
  nulls: /* @__PURE__ */ oneOf('empty', 'omit'),
})
