import type { Credential } from '../../../src/core/call/auth.ts'
import { CallError } from '../../../src/core/errors/error.ts'
import type { Clock } from '../../../src/core/time/clock.ts'
import type { SocketDriver, SocketRequest } from '../driver/driver.ts'

/**
 * Where a socket carries its credential: a header of the handshake, a sub-protocol, a query parameter, or the first
 * message.
 */
export type CredentialPlace = 'header' | 'subprotocol' | 'query' | 'message'

/** Offered beside the credential, since a server must pick a protocol, and must not pick the secret. */
const plainSubprotocol = 'polywire'

/** A handshake with its credential in place. */
export interface Placed {
  readonly request: SocketRequest
  /** For the first message. */
  readonly inMessage: Credential | undefined
}

/**
 * Puts a credential into a handshake; the default is a header, where the driver takes one, else the first message. A
 * credential that is made for the query (an API key) goes there in any case.
 *
 * @throws {CallError} `failed_precondition` when the socket cannot carry it there.
 */
export function placeCredential(
  base: SocketRequest,
  credential: Credential | undefined,
  driver: SocketDriver,
  wanted: CredentialPlace | undefined,
): Placed {
  if (!credential) return { request: base, inMessage: undefined }
  const place = wanted ?? (driver.capabilities.headers ? 'header' : 'message')
  const request = credential.query ? { ...base, url: withQuery(base.url, credential.query) } : base
  const { secret, headers } = credential
  if (credential.query && secret === undefined && !headers) return { request, inMessage: undefined }
  if (place === 'message') return { request, inMessage: credential }
  if (place === 'header') {
    if (!driver.capabilities.headers) throw misplaced("this platform's WebSocket takes no headers")
    return { request: { ...request, headers: { ...request.headers, ...headers } }, inMessage: undefined }
  }
  if (credential.query) return { request, inMessage: undefined }
  if (secret === undefined) throw misplaced(`a credential without a bare secret cannot go into the ${place}`)
  if (place === 'query') {
    return { request: { ...request, url: withQuery(base.url, { access_token: secret }) }, inMessage: undefined }
  }
  const offered = base.subprotocols.length > 0 ? base.subprotocols : [plainSubprotocol]
  return { request: { ...request, subprotocols: [...offered, `bearer.${base64url(secret)}`] }, inMessage: undefined }
}

/** Whether two credentials prove the same. */
export function isSameCredential(one: Credential | undefined, other: Credential | undefined): boolean {
  return one === other || (one?.secret !== undefined && one.secret === other?.secret)
}

/** After this long a credential has had its time: on a socket, refused, or waiting for one, another is worth a try; ms. */
export const trialMs = 10_000

/** Which credentials a server has refused, as far as that decides what a link does next. */
export class Refusals {
  readonly #clock: Clock
  /** Refused on a live socket: another one renews it. */
  #stale: Credential | undefined
  /** Refused together with an open stream: opening it again with the same one is pointless. */
  #refused: Credential | undefined
  #refusedAt = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A live socket of this credential must be renewed for one with another. */
  mustRenew(current: Credential | undefined, credential: Credential | undefined): boolean {
    if (!this.#stale || !credential) return false
    return isSameCredential(current, this.#stale) && !isSameCredential(credential, this.#stale)
  }

  isRefused(credential: Credential | undefined): boolean {
    return credential !== undefined && isSameCredential(credential, this.#refused)
  }

  /** The server refused it for something on a live socket. */
  onLive(credential: Credential | undefined): void {
    this.#stale = credential
  }

  /**
   * The server refused it for a stream that was open, or for the whole socket. Says whether opening again with another
   * one is worth a try: once, until the server sends something or time has passed; never where there is none to be
   * exchanged.
   */
  onOpen(credential: Credential | undefined): boolean {
    const now = this.#clock.now()
    const isFirst = this.#refused === undefined || now - this.#refusedAt > trialMs
    this.#refused = credential
    this.#refusedAt = now
    return isFirst && credential !== undefined
  }

  /** A socket is ready, or another credential is on its way on a live one. */
  renewed(): void {
    this.#stale = undefined
  }

  /** The server has accepted another credential on a live socket, or sent a message of the application. */
  accepted(): void {
    this.#refused = undefined
  }
}

function withQuery(url: string, query: Readonly<Record<string, string>>): string {
  const whole = new URL(url)
  for (const [name, value] of Object.entries(query)) whole.searchParams.set(name, value)
  return whole.href
}

/** Without padding: the characters that a sub-protocol may have. */
function base64url(text: string): string {
  const bytes = new TextEncoder().encode(text)
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

function misplaced(what: string): CallError {
  const message = `${what}: set authIn of websocketTransport to 'query', 'subprotocol' or 'message'`
  return new CallError({ code: 'failed_precondition', message, phase: 'resolve', sent: 'no' })
}
