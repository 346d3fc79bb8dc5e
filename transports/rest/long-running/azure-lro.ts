import type { RunStatus } from '../../../src/core/long-running/types.ts'
import { checkOptions, oneOf, type RulesOf } from '../../../src/core/options.ts'
import { isRecord } from '../../../src/core/tag.ts'
import { readPath } from '../../shared/pages.ts'
import { type LroAnswer, type LroDialect, type LroState, Malformed, wordOf } from './dialect.ts'

/** What differs among the services of Azure. */
export interface AzureLroOptions {
  /**
   * Where the result of a POST or PATCH stands: at the `Location` of the first answer, at the URL of the first request,
   * or in the status document itself, as its `result` or its `properties`.
   *
   * @defaultValue 'location' where the server names one, else 'document'; of a PATCH 'original'
   */
  readonly result?: 'location' | 'original' | 'document' | undefined
}

const rules: RulesOf<AzureLroOptions> = { result: /* @__PURE__ */ oneOf('location', 'original', 'document') }
const ends: Readonly<Record<string, RunStatus>> = /* @__PURE__ */ Object.assign(/* @__PURE__ */ Object.create(null), {
  succeeded: 'succeeded',
  failed: 'failed',
  canceled: 'canceled',
  cancelled: 'canceled',
})

/**
 * Microsoft's dialect: `Operation-Location` (or `Azure-AsyncOperation`) with `{ status, error, percentComplete }`, else
 * `Location` with 202, else the resource itself with `properties.provisioningState`. The result of a PUT is the resource.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @see https://github.com/microsoft/api-guidelines/blob/vNext/azure/ConsiderationsForServiceDesign.md#long-running-operations
 */
export function azureLro(options: AzureLroOptions = {}): LroDialect {
  checkOptions('azureLro()', options, rules)
  return { read: (answer) => (answer.step === 'start' ? begun(answer) : asked(answer, options)) }
}

function begun({ headers, status, body, method, requestUrl }: LroAnswer): LroState {
  const monitor = headers.last('operation-location') ?? headers.last('azure-asyncoperation') ?? undefined
  const location = headers.last('location') ?? undefined
  const memo = { method, location, original: requestUrl }
  if (monitor) return { ...documentState(body, 'running'), url: monitor, memo: { ...memo, by: 'monitor' } }
  if (status === 202 && location) return { status: 'running', url: location, memo: { ...memo, by: 'location' } }
  const state = wordOf(readPath(body, 'properties.provisioningState'))
  if (state !== undefined && ends[state] === undefined)
    return { status: 'running', url: requestUrl, memo: { ...memo, by: 'body' } }
  if (status === 202) throw new Malformed('a 202 without Operation-Location and Location')
  return ended(ends[state ?? ''] ?? 'succeeded', body)
}

function asked(answer: LroAnswer, options: AzureLroOptions): LroState {
  const { memo, status, headers, body, step } = answer
  if (memo.by === 'location' && step === 'poll') {
    const url = headers.last('location') ?? undefined
    return status === 202 ? { status: 'running', url } : { status: 'succeeded', result: { value: body } }
  }
  if (memo.by === 'body') {
    const state = wordOf(readPath(body, 'properties.provisioningState'))
    const end = status === 202 ? 'running' : state === undefined ? 'succeeded' : (ends[state] ?? 'running')
    return end === 'running' ? { status: 'running' } : ended(end, body)
  }
  const word = isRecord(body) ? wordOf(body.status) : undefined
  if (word === undefined) throw new Malformed("there is no word at 'status'")
  const state = documentState(body, ends[word] ?? 'running')
  const url = headers.last('operation-location') ?? headers.last('azure-asyncoperation') ?? undefined
  if (state.status !== 'succeeded') return { ...state, url }
  return { ...state, ...resultOf(body, memo, options) }
}

function ended(status: RunStatus, body: unknown): LroState {
  return status === 'succeeded'
    ? { status, result: { value: body } }
    : { status, error: readPath(body, 'error') ?? readPath(body, 'properties.error') }
}

function documentState(body: unknown, status: RunStatus): LroState {
  const at = (name: string): unknown => (isRecord(body) ? body[name] : undefined)
  const id = at('id') ?? at('name')
  return {
    status,
    id: typeof id === 'string' ? id : undefined,
    progress: at('percentComplete') ?? at('progress') ?? undefined,
    error: at('error'),
  }
}

/** Where a run that succeeded says that its result stands, or what the method of its start says. */
function resultOf(
  body: unknown,
  { method = '', location, original }: LroAnswer['memo'],
  { result = method === 'PATCH' ? 'original' : location ? 'location' : 'document' }: AzureLroOptions,
): Partial<LroState> {
  const resource = readPath(body, 'resourceLocation')
  if (typeof resource === 'string' && resource !== '') return { resultUrl: resource }
  if (method === 'DELETE') return {}
  if (method === 'PUT' || (result === 'original' && original)) return { resultUrl: original }
  if (result === 'location' && location) return { resultUrl: location }
  const value = readPath(body, 'result') ?? readPath(body, 'properties')
  return value === undefined ? {} : { result: { value } }
}
