import type { Call } from '../../src/core/call/call.ts'
import {
  bindHealth,
  defaultProbeMs,
  type HealthAnswer,
  type HealthCheck,
  type HealthStatus,
} from '../../src/core/call/health.ts'
import { defineOperation, type Operation, type OperationInfo, operationInfo } from '../../src/core/call/operation.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { parseRetryAfter } from '../../src/core/errors/retry-after.ts'
import { aboveZero, flag, oneOf, type RulesOf, text, wrongOption } from '../../src/core/options.ts'
import { isObject } from '../../src/core/tag.ts'
import { at } from '../http/at.ts'
import { decodeText, readMediaType } from '../http/codecs.ts'
import { type BufferedResponse, requestBuffered } from '../http/collect.ts'
import { readHttpFailure } from '../http/errors.ts'
import { toCallError } from '../http/fault.ts'
import type { ViaOf } from '../http/input-types.ts'
import { defineRest, type OpenReply, type RestBinding } from './operation.ts'

/** How a server is asked for its health. */
export interface HealthSpec {
  /** The key of its transport. @defaultValue 'rest' */
  readonly via?: string | undefined
  /** Where the path begins: behind `baseUrl`, or at the root of its origin. @defaultValue 'base' */
  readonly from?: 'base' | 'origin' | undefined
  /** How long an answer is waited for where the call says nothing; ms. @defaultValue 2_000 */
  readonly timeoutMs?: number | undefined
  /** It carries the client's credential: a token that cannot be had says nothing of the server. @defaultValue false */
  readonly auth?: boolean | undefined
}

const rules: RulesOf<HealthSpec> = {
  via: text,
  from: /* @__PURE__ */ oneOf('base', 'origin'),
  timeoutMs: aboveZero,
  auth: flag,
}

const words: Readonly<Record<string, Exclude<HealthStatus, 'unreachable'>>> = {
  pass: 'pass',
  ok: 'pass',
  up: 'pass',
  healthy: 'pass',
  green: 'pass',
  warn: 'warn',
  warning: 'warn',
  degraded: 'warn',
  yellow: 'warn',
  fail: 'fail',
  failed: 'fail',
  error: 'fail',
  down: 'fail',
  unhealthy: 'fail',
  outofservice: 'fail',
  red: 'fail',
}
/** A document of health is small; bytes. */
const maxBodyBytes = 1_048_576

/**
 * Declares a probe: `application/health+json`, the documents of Spring and its like, or a plain 200. It is never sent
 * again, since it is a question about now, and its answer is one type over all protocols.
 *
 * @param path - as of other operations. @defaultValue '/health'
 * @throws {TypeError} where the declaration itself is wrong.
 * @example
 * const { isHealthy, status, latencyMs } = await client.call(health('/healthz', { from: 'origin' }))
 */
export function health<const S extends HealthSpec = {}>(
  path?: string,
  spec?: S,
): Operation<ViaOf<S, 'rest'>, HealthCheck>
export function health(path = '/health', spec: HealthSpec = {}): never {
  const wrong = wrongOption(spec, rules)
  if (wrong) throw new TypeError(`health('${path}', …): ${wrong}`)
  const { via = 'rest', from = 'base', timeoutMs = defaultProbeMs, auth = false } = spec
  const made = operationInfo(
    defineRest('health', 'GET', path, {
      via,
      retry: false,
      accept: 'application/health+json, application/json;q=0.9, */*;q=0.5',
      ...(!auth && { auth }),
    }),
  ) as OperationInfo
  const probe: OperationInfo = { ...made, binding: { ...(made.binding as RestBinding), open: openHealth } }
  const info: OperationInfo = {
    ...probe,
    makeCallable: bindHealth(timeoutMs, ({ callable }) => {
      const call = callable?.(probe) as (input: unknown, options: object) => Promise<HealthAnswer>
      return (input, options) => call(from === 'origin' ? at(path) : input, options)
    }),
  }
  return defineOperation<Operation<never>>(info) as never
}

/** Whatever is answered is an answer. */
const openHealth: OpenReply = async (engine, request, call) => {
  const response = await requestBuffered(engine, request, call.scope, { maxBodyBytes }).catch((error: unknown) => {
    throw toCallError(error, call)
  })
  const { status, headers, trailers } = response
  const retryAfterMs = parseRetryAfter(headers, call.scope.services.clock.wallNow())
  const message = { ...readHealth(call, response), ...(retryAfterMs !== undefined && { retryAfterMs }) }
  return { kind: 'unary', message, status, headers, trailers }
}

function readHealth(call: Call, response: BufferedResponse): HealthAnswer {
  const { status, headers, body } = response
  const type = readMediaType(headers.get('content-type'))
  const text = decodeText(body, type.charset)
  const details = documentIn(text)
  const told = details !== undefined && { details }
  if (status >= 500) return { status: 'fail', ...told }
  const refuse = (failure: Failure): HealthAnswer => ({
    status: 'unknown',
    ...told,
    error: new CallError(failure, call),
  })
  if (status >= 300) return refuse(readHttpFailure(response, call.scope.services.clock.wallNow()))
  const malformed = (message: string) =>
    refuse({ code: 'internal', message, phase: 'body', sent: 'yes', status, headers })
  if (type.kind === 'json' && details === undefined && text !== '')
    return malformed('the answer is said to be JSON, and is no document of health')
  if (/^\s*<(?:!doctype|html)/i.test(text))
    return malformed('the answer is an HTML page: an SPA fallback or a sign-in page? Check path and baseUrl')
  return { status: statusOf(details), ...told }
}

/** The object that a text holds as JSON, whatever its content type says; undefined where it holds none. */
function documentIn(text: string): unknown {
  try {
    const document: unknown = JSON.parse(text)
    return isObject(document) ? document : undefined
  } catch {
    return undefined
  }
}

/** By the word that a document has for it; a plain 2xx is a pass. */
function statusOf(document: unknown): Exclude<HealthStatus, 'unreachable'> {
  const word = (document as { readonly status?: unknown } | null | undefined)?.status
  if (typeof word !== 'string') return 'pass'
  const key = word.toLowerCase().replace(/[\s_-]+/g, '')
  return Object.hasOwn(words, key) ? (words[key] as 'pass') : 'unknown'
}
