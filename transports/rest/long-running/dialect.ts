import type { HeaderMap } from '../../../src/core/call/header-map.ts'
import type { RunStatus } from '../../../src/core/long-running/types.ts'

/** What a dialect reads: an answer, or a document that came by a stream or a callback. */
export interface LroAnswer {
  /** `start`: of the request that starts a run; `poll`: of one that asks for its status; `event`: no answer, but a document. */
  readonly step: 'start' | 'poll' | 'event'
  /** Of the request that started it; empty where that was another process. */
  readonly method: string
  /** Where it came from, after redirects. */
  readonly url: string
  /** Where it was asked for. */
  readonly requestUrl: string
  /** The transport's. */
  readonly baseUrl: string
  readonly status: number
  readonly headers: HeaderMap
  /** Parsed, where it is JSON. */
  readonly body: unknown
  /** It was answered by 303, and this is what stands there; `unknown`: by some redirect, of which a browser tells no more. */
  readonly redirect: 303 | 'unknown' | undefined
  /** What the dialect has noted at an earlier answer. */
  readonly memo: Readonly<Record<string, string | undefined>>
}

/** What a dialect says of an answer. URLs may be relative to where it came from. */
export interface LroState {
  readonly status: RunStatus
  /** What the server calls the run. @defaultValue as before, else the last segment of its URL */
  readonly id?: string | undefined
  /** Where its status is asked for. @defaultValue as before */
  readonly url?: string | undefined
  /** Where its result stands. */
  readonly resultUrl?: string | undefined
  /** The result itself, where it came along. */
  readonly result?: { readonly value: unknown } | undefined
  /** Where a POST makes the server give it up. */
  readonly cancelUrl?: string | undefined
  readonly progress?: unknown
  /** What the server says of a failure: an object with `code`, `message`, `details`, or a text. */
  readonly error?: unknown
  /** How long to wait before it is asked again; ms. @defaultValue the answer's Retry-After */
  readonly retryAfterMs?: number | undefined
  /** To be handed back with the next answer, in another process, too. */
  readonly memo?: Readonly<Record<string, string | undefined>> | undefined
}

/**
 * How a server tells of its runs. `statusLro()`, `azureLro()`, `aipLro()` and `locationLro()` are made; anything else is
 * a function of your own.
 *
 * @example
 * const dialect: LroDialect = {
 *   read: ({ body, url }) => ({ status: body.ready ? 'succeeded' : 'running', url: body.href ?? url, result: { value: body.data } }),
 * }
 */
export interface LroDialect {
  /** What it throws is told as a malformed answer. */
  read(answer: Omit<LroAnswer, 'body'> & { readonly body: any }): LroState
}

/** Thrown by a dialect for what it cannot read; its message says what is wrong, and never a value. */
export class Malformed extends Error {}

/** Where an answer's headers say that the status stands, the most telling first. */
export function statusUrlOf(headers: HeaderMap): string | undefined {
  for (const name of ['operation-location', 'azure-asyncoperation', 'location']) {
    const url = headers.last(name)?.trim()
    if (url) return url
  }
  return undefined
}

/** A word of a status, whatever it is written like: `In-Progress`, `IN_PROGRESS`, `inProgress`. */
export function wordOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value.toLowerCase().replace(/[\s_-]+/g, '') : undefined
}
