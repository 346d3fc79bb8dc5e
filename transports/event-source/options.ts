import { refusal } from '../../src/core/errors/refusal.ts'
import {
  aboveZero,
  anything,
  callable,
  checkOptions,
  either,
  flag,
  has,
  list,
  notNegative,
  object,
  oneOf,
  type RulesOf,
  takes,
  text,
} from '../../src/core/options.ts'
import { optInRules } from '../../src/core/policies/options.ts'
import { openingOption } from '../../src/core/resume/options.ts'
import { retryOption } from '../../src/core/retry/options.ts'
import { authRule, isDeclaration, stopRule } from '../shared/option-rules.ts'
import type { EventSourceDefaults, EventSourceInit, EventSourceOptions } from './types.ts'

const defaultRules: RulesOf<EventSourceDefaults> = {
  withCredentials: flag,
  headers: /* @__PURE__ */ object('Headers, a Map, pairs or a plain object'),
  retry: retryOption,
  timeoutMs: notNegative,
  opening: openingOption,
  idleTimeoutMs: aboveZero,
  maxEventBytes: aboveZero,
  resume: /* @__PURE__ */ takes(
    "true, false, 'get', or what continueWith() makes",
    (value) => [true, false, 'get'].includes(value as boolean) || isDeclaration(value),
  ),
  stop: stopRule,
  http: /* @__PURE__ */ either(/* @__PURE__ */ oneOf('auto', 'undici', 'fetch'), callable),
  dispatcher: anything,
}

const originRule = /* @__PURE__ */ takes(
  "'self', an origin such as 'https://api.example.com', or a list of some",
  (value) => {
    const origins = [value].flat()
    return (
      origins[0] !== undefined &&
      origins.every((each) => each === 'self' || (typeof each === 'string' && URL.canParse(each)))
    )
  },
)

const initRules: RulesOf<EventSourceInit> = {
  ...defaultRules,
  method: /* @__PURE__ */ oneOf('GET', 'POST'),
  body: anything,
  lastEventId: text,
  auth: authRule,
  origin: originRule,
}

const classRules: RulesOf<Required<EventSourceOptions>> = {
  ...defaultRules,
  ...optInRules,
  auth: authRule,
  origin: originRule,
  interceptors: /* @__PURE__ */ either(list, callable),
  telemetry: /* @__PURE__ */ object('an object such as { event: (event) => … }'),
  clock: /* @__PURE__ */ takes('a Clock such as virtualClock()', /* @__PURE__ */ has('setTimer')),
}

/** @throws {CallError} `invalid_argument` naming the option, never its value. */
export function checkInit(init: EventSourceInit): void {
  checkOptions('new EventSource()', init, initRules)
  if (init.body !== undefined && init.method !== 'POST')
    throw refusal("new EventSource(): a body needs method: 'POST'", undefined)
}

/** @throws {CallError} `invalid_argument` naming the option, never its value. */
export function checkClass(options: EventSourceOptions | EventSourceDefaults, isOverClient: boolean): void {
  checkOptions('createEventSource()', options, isOverClient ? defaultRules : classRules)
  const { auth, origin } = options as EventSourceOptions
  if (auth && !origin?.length)
    throw refusal("createEventSource(): auth needs origin, or 'self' in browsers: where its credentials go", undefined)
}
