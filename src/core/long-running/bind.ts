import type { CallOptions } from '../call/call-options.ts'
import { readHeaders } from '../call/header-map.ts'
import { idempotencyProfiles } from '../call/idempotency.ts'
import type { OperationInfo } from '../call/operation.ts'
import type { Services } from '../call/scope.ts'
import { refusal } from '../errors/refusal.ts'
import { count, notNegative, object, orFalse, type RulesOf } from '../options.ts'
import type { RunParts } from './asking.ts'
import { begunError } from './errors.ts'
import { RunHandle } from './run.ts'
import type { PollPace, RunCallOptions, RunState, RunToken } from './types.ts'

const paceRules: RulesOf<PollPace> = { minMs: notNegative, maxMs: notNegative, maxFailures: count }

/** What the option `poll` of a long-running operation takes. */
export const paceRule = /* @__PURE__ */ orFalse(
  /* @__PURE__ */ object('an object such as { minMs: 1_000, maxMs: 30_000 }', paceRules),
)

/** Of the body of the first request, of its conditions, and of its key: none of it belongs to a poll. */
const ofStart = /^(?:content-.*|if-.*|prefer|expect|idempotency-key|transfer-encoding)$/

/** What users call of a long-running operation: the call itself, `start` and `revive`. */
export function bindRuns(info: OperationInfo, partsOf: (services: Services) => Omit<RunParts, 'info' | 'services'>) {
  return (services: Services) => {
    const parts: RunParts = { ...partsOf(services), info, services }
    const start = async (input: unknown, options: CallOptions = {}): Promise<RunHandle> =>
      new RunHandle(parts, optionsOf(options), await parts.driver.start(input, options), true)
    const run = async (input: unknown, options: CallOptions = {}): Promise<unknown> => {
      const handle = await start(input, options)
      const { signal, deadline } = options
      try {
        return await handle.result({ signal, deadline })
      } catch (error) {
        throw begunError(error, info)
      }
    }
    const revive = (token: RunToken | string, options: RunCallOptions = {}): RunHandle => {
      return new RunHandle(parts, optionsOf(options), readToken(token, parts), false)
    }
    return Object.assign(run, { start, revive })
  }
}

function optionsOf({ headers, context, timeoutMs }: RunCallOptions): RunCallOptions {
  const kept = Object.fromEntries(Object.entries(readHeaders(headers)).filter(([name]) => !ofStart.test(name)))
  for (const { place, name } of Object.values(idempotencyProfiles)) if (place === 'header') delete kept[name]
  return { headers: kept, context, timeoutMs }
}

function readToken(token: RunToken | string, { info, driver }: RunParts): RunState {
  const origin = { operation: info }
  let read = token as Partial<RunToken> | null
  try {
    if (typeof token === 'string') read = JSON.parse(token)
    // A handle that was not written down first is as good as what it writes.
    if (typeof (read as { toJSON?: unknown } | null)?.toJSON === 'function') read = (read as RunHandle).toJSON()
  } catch {
    // Said below.
  }
  const { v, operation, id, place } = read ?? {}
  if (v !== 1 || typeof operation !== 'string' || typeof id !== 'string')
    throw refusal('revive() takes what JSON.stringify(run) wrote', origin)
  if (operation !== info.name) throw refusal('revive(): this is a run of another operation', origin)
  const state = driver.revive(id, place)
  if (!state) throw refusal('revive(): the token does not say where the run is asked for', origin)
  return state
}
