import { guard } from '../../../src/core/guard.ts'
import type { RunStatus } from '../../../src/core/long-running/types.ts'
import { callable, checkOptions, either, list, type RulesOf, text } from '../../../src/core/options.ts'
import { isRecord } from '../../../src/core/tag.ts'
import { readPath } from '../../shared/pages.ts'
import { type LroAnswer, type LroDialect, type LroState, Malformed, statusUrlOf, wordOf } from './dialect.ts'

/** Where status documents hold what; members joined by dots. */
export interface StatusLroOptions {
  /** How the run stands: `succeeded`, `failed`, `canceled` and their like; any other word means that it runs. @defaultValue 'status' */
  readonly status?: string | undefined
  /** How far it has come: anything. @defaultValue 'progress' */
  readonly progress?: string | undefined
  /** The URL of the result, a text or an object with `href`. @defaultValue 'result_url' */
  readonly resultUrl?: string | undefined
  /** The result itself. @defaultValue 'result' */
  readonly result?: string | undefined
  /** What went wrong. @defaultValue 'error' */
  readonly error?: string | undefined
  /** What the server calls the run. @defaultValue 'id' */
  readonly id?: string | undefined
  /** Where the status stands, where no header says it; or a function that makes it of the first document. @defaultValue 'status_url' */
  readonly statusUrl?: string | ((document: any) => string | undefined) | undefined
  /** Where a POST makes the server give it up. @defaultValue 'cancel_url' */
  readonly cancelUrl?: string | undefined
  /** Further words that mean success. @defaultValue none */
  readonly succeeded?: readonly string[] | undefined
  /** Further words that mean failure. @defaultValue none */
  readonly failed?: readonly string[] | undefined
}

const rules: RulesOf<StatusLroOptions> = {
  status: text,
  progress: text,
  resultUrl: text,
  result: text,
  error: text,
  id: text,
  statusUrl: /* @__PURE__ */ either(text, callable),
  cancelUrl: text,
  succeeded: list,
  failed: list,
}

/**
 * What servers call it: the first that has a word says what it means. Without a word of `running` a document is a result,
 * and none of a run.
 */
const words: Readonly<Record<RunStatus, string>> = {
  canceled: 'canceled cancelled aborted',
  failed: 'failed failure error errored timedout expired rejected',
  succeeded: 'succeeded success successful completed complete done finished',
  running:
    'running pending queued accepted processing inprogress notstarted starting started created submitted scheduled waiting validating finalizing canceling cancelling initializing',
}

/**
 * The default dialect: 202 with `Location` and Retry-After, then documents such as `{ status, progress, result_url }` or
 * `{ status, result }`; a 303 leads to the result. An answer to the start that is no such document is the result itself.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * statusLro({ statusUrl: 'urls.get', cancelUrl: 'urls.cancel', result: 'output' })
 */
export function statusLro(options: StatusLroOptions = {}): LroDialect {
  checkOptions('statusLro()', options, rules)
  return { read: (answer) => readStatus(answer, options) }
}

function statusOf(word: string, { succeeded = [], failed = [] }: StatusLroOptions): RunStatus | undefined {
  const more: Partial<Record<RunStatus, readonly string[]>> = { succeeded, failed }
  return (Object.keys(words) as RunStatus[]).find((status) =>
    [...words[status].split(' '), ...(more[status] ?? []).map(wordOf)].includes(word),
  )
}

function readStatus(answer: LroAnswer, options: StatusLroOptions): LroState {
  const { step, status, headers, body, redirect } = answer
  const word = isRecord(body) ? wordOf(readPath(body, options.status ?? 'status')) : undefined
  const known = word === undefined ? undefined : statusOf(word, options)
  if (step === 'start') {
    const url = startUrl(answer, options)
    if (status !== 202 && (known === undefined || url === undefined))
      return { status: 'succeeded', result: { value: body } }
    return { ...documentState(body, options, known ?? 'running'), url }
  }
  if (redirect === 303 || (redirect === 'unknown' && known === undefined))
    return { status: 'succeeded', result: { value: body } }
  if (word !== undefined) return { ...documentState(body, options, known ?? 'running'), url: nextUrl(headers) }
  if (step === 'poll' && status === 202) return { ...documentState(body, options, 'running'), url: nextUrl(headers) }
  throw new Malformed(`there is no word at '${options.status ?? 'status'}'`)
}

function documentState(body: unknown, options: StatusLroOptions, status: RunStatus): LroState {
  const at = (path: string): unknown => (isRecord(body) ? readPath(body, path) : undefined)
  const result = at(options.result ?? 'result')
  const id = at(options.id ?? 'id')
  return {
    status,
    id: typeof id === 'string' || typeof id === 'number' ? String(id) : undefined,
    progress: at(options.progress ?? 'progress') ?? undefined,
    resultUrl: linkAt(at(options.resultUrl ?? 'result_url'), options.resultUrl ?? 'result_url'),
    result: result === undefined || result === null ? undefined : { value: result },
    cancelUrl: linkAt(at(options.cancelUrl ?? 'cancel_url'), options.cancelUrl ?? 'cancel_url'),
    error: at(options.error ?? 'error'),
  }
}

function startUrl({ headers, body }: LroAnswer, { statusUrl = 'status_url' }: StatusLroOptions): string | undefined {
  const own =
    typeof statusUrl === 'function'
      ? guard('statusUrl() of statusLro()', () => statusUrl(body), undefined, answered)
      : linkAt(isRecord(body) ? readPath(body, statusUrl) : 0, '')
  return own ?? statusUrlOf(headers)
}

const answered = { phase: 'body', sent: 'yes' } as const

/** Some servers move the status while the run goes on. */
function nextUrl(headers: LroAnswer['headers']): string | undefined {
  return headers.last('operation-location') ?? undefined
}

/** A text, or an object with `href`; nothing where there is none. */
function linkAt(value: unknown, name: string): string | undefined {
  const link = (isRecord(value) ? value.href : value) ?? undefined
  if (typeof link === 'string' && link !== '') return link
  if (link !== undefined && link !== '' && link !== false && name !== '') throw new Malformed(`'${name}' is no link`)
  return undefined
}

/** Servers without status documents: 202 with `Location`, then 202 until the URL answers with the result. */
export function locationLro(): LroDialect {
  return {
    read({ step, status, headers, body }) {
      if (step === 'event') throw new Malformed('locationLro() reads no documents')
      const url = headers.last('location') ?? undefined
      return status === 202 ? { status: 'running', url } : { status: 'succeeded', result: { value: body } }
    },
  }
}
