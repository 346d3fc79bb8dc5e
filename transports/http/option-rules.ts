import {
  anything,
  callable,
  either,
  flag,
  has,
  list,
  object,
  oneOf,
  orFalse,
  type RulesOf,
  takes,
  text,
} from '../../src/core/options.ts'
import { authRule } from '../shared/option-rules.ts'
import type { HttpOptions } from './contract.ts'

/** What becomes of redirects. */
export const redirectRule = /* @__PURE__ */ oneOf('follow', 'error', 'manual')
/** What `compression()` makes, or `false` for none. */
export const compressRule = /* @__PURE__ */ orFalse(
  /* @__PURE__ */ takes("compression('gzip')", /* @__PURE__ */ has('apply')),
)

/** What every transport over HTTP takes of a fetch: its own options pass unread. */
const httpRules: RulesOf<HttpOptions> = {
  http: /* @__PURE__ */ either(/* @__PURE__ */ oneOf('auto', 'undici', 'fetch'), callable),
  dispatcher: anything,
  credentials: text,
  mode: text,
  cache: anything,
  redirect: redirectRule,
  priority: text,
  keepalive: flag,
}

/** What transports that send requests to a server have in common. */
export const requestRules = {
  ...httpRules,
  auth: authRule,
  headers: /* @__PURE__ */ object('Headers, a Map, pairs or a plain object'),
  crossOriginHeaders: list,
  deadlineHeader: anything,
}

/** What the option `version` takes. */
export const versionRule = /* @__PURE__ */ takes('what apiVersion() makes', /* @__PURE__ */ has('apply'))

/** How queries are written. */
export const queryStyleRule = /* @__PURE__ */ object("an object such as { arrays: 'comma' }", {
  arrays: /* @__PURE__ */ oneOf('repeat', 'brackets', 'indices', 'comma'),
  nulls: /* @__PURE__ */ oneOf('empty', 'omit'),
})
