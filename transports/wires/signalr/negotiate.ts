import type { Credential } from '../../../src/core/call/auth.ts'
import { CallError } from '../../../src/core/errors/error.ts'
import { guard } from '../../../src/core/guard.ts'
import { isObject } from '../../../src/core/tag.ts'
import { statusRow } from '../../shared/http-status.ts'
import type { Handshake } from '../../socket/wire-adapter.ts'

/** The part of `fetch` that negotiating needs. */
export type NegotiateFetch = (
  url: string,
  init: { method: 'POST'; headers: Record<string, string>; signal: AbortSignal; redirect: 'manual' },
) => Promise<{ readonly status: number; json(): Promise<unknown> }>

/** What the server said: where the socket is opened, and what names the connection. */
export interface Negotiated {
  readonly url: string
  readonly credential: Credential | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly connectionId: string
  /** The server keeps the connection's state over a drop. */
  readonly isStateful: boolean
}

interface Answer {
  readonly connectionId?: unknown
  readonly connectionToken?: unknown
  readonly availableTransports?: unknown
  readonly useStatefulReconnect?: unknown
  readonly url?: unknown
  readonly accessToken?: unknown
  readonly error?: unknown
}

/** Servers hand on to others, such as Azure SignalR; never in a circle. */
const maxHops = 5

/**
 * Asks the server for a connection, as the protocol wants it before the socket.
 *
 * @throws {CallError} what the server answered, or that it could not be reached; nothing was done.
 */
export async function negotiate(
  { url, headers, credential, signal }: Pick<Handshake, 'url' | 'headers' | 'credential' | 'signal'>,
  fetch: NegotiateFetch,
  wantsState: boolean,
  hops = 0,
): Promise<Negotiated> {
  const whole = new URL(url)
  const here = new URL(url.replace(/^ws/, 'http'))
  here.pathname = `${here.pathname.replace(/\/$/, '')}/negotiate`
  here.searchParams.set('negotiateVersion', '1')
  if (wantsState) here.searchParams.set('useStatefulReconnect', 'true')
  for (const [name, value] of Object.entries(credential?.query ?? {})) here.searchParams.set(name, value)
  const answer = await ask(here.href, { ...headers, ...credential?.headers }, fetch, signal)
  if (typeof answer.error === 'string')
    throw refused('the server refused to negotiate', { serverMessage: answer.error })
  if (typeof answer.url === 'string') {
    if (hops === maxHops) throw refused('the server hands on and on while it negotiates')
    const next = nextUrl(answer.url, whole)
    const token = typeof answer.accessToken === 'string' ? answer.accessToken : undefined
    // Credential and headers are for the server that they were made for.
    const own = next.origin === whole.origin ? { headers, credential } : { headers: {}, credential: undefined }
    const given = token === undefined ? {} : { credential: bearerOf(token) }
    return negotiate({ url: next.href, signal, ...own, ...given }, fetch, wantsState, hops + 1)
  }
  const { connectionId, connectionToken = connectionId, availableTransports } = answer
  if (typeof connectionId !== 'string' || typeof connectionToken !== 'string')
    throw refused('what the server answers to negotiate is no answer of SignalR: check the path of the hub')
  if (!hasWebSockets(availableTransports)) throw refused('the server offers no WebSockets for this hub')
  whole.searchParams.set('id', connectionToken)
  return { url: whole.href, credential, headers, connectionId, isStateful: answer.useStatefulReconnect === true }
}

function nextUrl(text: string, from: URL): URL {
  let next: URL | undefined
  try {
    next = new URL(text.replace(/^http/, 'ws'), from)
  } catch {}
  const isFit = next?.protocol === 'wss:' || (next?.protocol === 'ws:' && from.protocol === 'ws:')
  if (!next || !isFit) throw refused('the server hands on to an address that is none, or without TLS')
  return next
}

const bearerOf = (secret: string): Credential => ({ secret, headers: { authorization: `Bearer ${secret}` } })

function hasWebSockets(offered: unknown): boolean {
  if (!Array.isArray(offered)) return false
  return offered.some((each: { transport?: unknown } | null) => each?.transport === 'WebSockets')
}

async function ask(
  url: string,
  headers: Record<string, string>,
  fetch: NegotiateFetch,
  signal: AbortSignal,
): Promise<Answer> {
  // A redirect is not followed: it would take the credential along, and no socket follows one either.
  const init = { method: 'POST', headers, signal, redirect: 'manual' } as const
  const response = await guard('fetch', () => fetch(url, init), undefined, {
    code: 'unavailable',
    message: 'the server could not be reached to negotiate: see cause',
    isRetryable: true,
    phase: 'connect',
    sent: 'no',
  })
  const { status } = response
  if (status !== 200) throw refusedBy(status)
  const answer = await response.json().catch(() => undefined)
  return isObject(answer) ? answer : {}
}

function refusedBy(status: number): CallError {
  // Browsers do not show more of a redirect than 0.
  const isRedirect = status < 400
  const { code, hint: known, isRetryable, isThrottled } = statusRow(status)
  const hint = isRedirect ? 'a redirect is not followed: give the address that it leads to as url' : known
  return new CallError({
    code: isRedirect || code === 'unknown' ? 'failed_precondition' : code,
    message: `the server answered ${status} to negotiate: ${hint}`,
    status,
    phase: 'connect',
    sent: 'no',
    isUnexecuted: true,
    ...(!isRedirect && isRetryable && { isRetryable }),
    ...(isThrottled && { isThrottled }),
  })
}

function refused(message: string, more: { readonly serverMessage?: string } = {}): CallError {
  return new CallError({ code: 'failed_precondition', message, phase: 'connect', sent: 'no', ...more })
}
