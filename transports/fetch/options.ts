import {
  aboveZero,
  anything,
  callable,
  count,
  either,
  has,
  list,
  notNegative,
  type OptionRules,
  object,
  oneOf,
  type RulesOf,
  takes,
  text,
} from '../../src/core/options.ts'
import { optInRules } from '../../src/core/policies/options.ts'
import { retryOption } from '../../src/core/retry/options.ts'
import { authRule, headerKeyRule } from '../shared/option-rules.ts'
import type { CreateFetchOptions, FaceOptions, FetchRoute, OriginPolicy } from './types.ts'

/** What a route takes. */
export const routeRules: RulesOf<FetchRoute> = {
  idempotent: /* @__PURE__ */ oneOf(true, false),
  idempotency: headerKeyRule,
  retry: retryOption,
  timeoutMs: notNegative,
}

/** What an origin takes. */
export const policyRules: RulesOf<OriginPolicy> = {
  auth: authRule,
  idempotency: headerKeyRule,
  routes: /* @__PURE__ */ object("an object such as { 'POST /search': { idempotent: true } }"),
}

/** What a face over a client takes. */
export const faceRules: RulesOf<FaceOptions> = {
  operationOf: callable,
  origins: /* @__PURE__ */ object("an object such as { 'https://api.example.com': { auth } }"),
  maxOperations: count,
  replayBytes: notNegative,
  deadlineHeader: callable,
  idleTimeoutMs: aboveZero,
}

/** What a face of its own takes. */
export const createFetchRules: RulesOf<CreateFetchOptions> & OptionRules = {
  ...faceRules,
  ...policyRules,
  ...optInRules,
  origin: /* @__PURE__ */ either(text, list),
  retry: retryOption,
  timeoutMs: notNegative,
  interceptors: /* @__PURE__ */ either(list, callable),
  telemetry: /* @__PURE__ */ object('an object such as { event: (event) => … }'),
  clock: /* @__PURE__ */ takes('a Clock such as virtualClock()', /* @__PURE__ */ has('setTimer')),
  http: /* @__PURE__ */ either(/* @__PURE__ */ oneOf('auto', 'undici', 'fetch'), callable),
  dispatcher: anything,
}

/** What `with()` takes; each call looks at headers and deadlines. */
export const withRules: OptionRules = {
  headers: anything,
  signal: anything,
  deadline: anything,
  context: anything,
  retry: retryOption,
  idempotencyKey: text,
  timeoutMs: notNegative,
}
