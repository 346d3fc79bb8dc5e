import type { HttpRequest } from '../../contract.ts'
import { hasSecretUnknownToFetch } from '../../redirect.ts'

/** What is read of a Response; mocks often have less than the half of it. */
export interface ResponseLike {
  readonly status?: number
  readonly ok?: boolean
  readonly bodyUsed?: boolean
  readonly type?: string
  readonly url?: string
  readonly redirected?: boolean
  readonly headers?: Iterable<readonly [string, string]> | Readonly<Record<string, string>>
  readonly body?: { getReader?(): ReadableStreamDefaultReader<Uint8Array>; cancel?(): Promise<void> } | null
  arrayBuffer?(): Promise<ArrayBuffer>
  text?(): Promise<string>
  json?(): Promise<unknown>
}

/** What fetch is called with. */
export type Init = Record<string, unknown>

const encoder = new TextEncoder()
const empty = new Uint8Array(0)

/**
 * Whether fetch may follow redirects by itself. In browsers it must, for no one else can see where they lead, except
 * with a credential that it would carry to another origin; elsewhere we follow, by stricter rules than its own.
 */
export function redirectMode(request: HttpRequest, canFollow: boolean): 'follow' | 'manual' | 'ours' {
  const asked = request.fetchOptions?.redirect ?? 'follow'
  if (asked === 'manual') return asked
  // Of its own 'error', fetch says no more than of any network error.
  if (asked === 'error') return 'ours'
  return (isBrowser() || !canFollow) && !hasSecretUnknownToFetch(request) ? 'follow' : 'ours'
}

/** No option is named that was not asked for: workerd refuses some that it does not know. */
export function initOf(request: HttpRequest, redirect: string, signal: AbortSignal): Init {
  const { fetchOptions, method, headers } = request
  return { ...fetchOptions, method, headers, redirect: redirect === 'ours' ? 'manual' : redirect, signal }
}

/** Adds a Blob or a form to an init; fetch writes its length itself, and a second one beside it would be refused. */
export function addBlob(init: Init, blob: Blob | FormData): void {
  const { 'content-length': _, ...headers } = init.headers as Record<string, string>
  init.headers = headers
  init.body = blob
}

/** The body of a response that has no stream. */
export async function wholeOf(response: ResponseLike): Promise<Uint8Array> {
  if (response.body === null) return empty
  if (response.arrayBuffer) return new Uint8Array(await response.arrayBuffer())
  if (response.text) return encoder.encode(await response.text())
  return response.json ? encoder.encode(JSON.stringify(await response.json())) : empty
}

/** For telling, after fetch has thrown a TypeError that may mean anything, whether the request was at fault. */
export function isValid({ url, method, headers }: HttpRequest): boolean {
  try {
    return /^(?:https?|blob|data):/.test(new Request(url, { method, headers }).url)
  } catch {
    return false
  }
}

/** jsdom's AbortController is not the one that Node's fetch knows; a stream may have been read from already. */
export function isSignalRefused(error: unknown, init: Init): boolean {
  return error instanceof TypeError && /\bAbortSignal\b/.test(error.message) && init.duplex === undefined
}

/** jsdom in Node calls itself a browser too, and its fetch follows like one. */
export function isBrowser(): boolean {
  return globalThis.navigator?.userAgent?.startsWith('Mozilla/') === true
}
