import type { Signal } from '../../core/call/signal.ts'
import { CallError } from '../../core/errors/error.ts'
import { guard } from '../../core/guard.ts'
import { callable, checkOptions, has, type RulesOf, takes } from '../../core/options.ts'
import type { Clock, Timer } from '../../core/time/clock.ts'
import { refused } from './errors.ts'
import { type GrantOptions, grantRules, keeperOf, parametersOf } from './grants.ts'
import { type AuthorizationServer, type OAuthServer, serverOf } from './server.ts'
import { type OAuthSession, type OAuthTokens, readTokens, Session } from './session.ts'

/** What the user is shown: a code to be entered on another device. */
export interface DeviceCode {
  readonly userCode: string
  /** Where it is entered. */
  readonly verificationUri: string
  /** The same with the code in it, for a QR code. */
  readonly verificationUriComplete?: string
  readonly expiresInMs: number
}

/** How a device without a browser logs in. */
export interface DeviceCodeOptions extends GrantOptions {
  /** Shows the code. */
  readonly onCode: (code: DeviceCode) => unknown
  /** Ends the waiting. */
  readonly signal?: Signal | undefined
}

const rules: RulesOf<DeviceCodeOptions> = {
  ...grantRules,
  onCode: callable,
  signal: /* @__PURE__ */ takes('an AbortSignal', /* @__PURE__ */ has('addEventListener')),
}

/** RFC 8628 §3.5: what a server that names no interval wants, and what `slow_down` adds; ms. */
const stepMs = 5000

/**
 * Logs a user in who has a browser elsewhere (RFC 8628): shows a code, and asks at the server's pace until it was
 * entered. `slow_down` and failures of the network stretch the pace; the code's end is the end.
 *
 * @throws {CallError} `unauthenticated` with the reason `access_denied` or `expired_token`; the signal's reason.
 * @example
 * const session = await deviceCode(server, { scope: 'offline_access', onCode: ({ userCode, verificationUri }) => show(userCode, verificationUri) })
 */
export async function deviceCode(as: AuthorizationServer, options: DeviceCodeOptions): Promise<OAuthSession> {
  checkOptions('deviceCode()', options, rules)
  const server = serverOf(as, 'deviceCode()')
  const { signal } = options
  const stop = new AbortController()
  const leave = (): void => stop.abort(signal?.reason)
  if (signal?.aborted) leave()
  else signal?.addEventListener('abort', leave, { once: true })
  try {
    const tokens = await logIn(server, options, stop)
    const session = new Session(server, { keeper: keeperOf(options, server) })
    await session.set(tokens)
    return session
  } finally {
    signal?.removeEventListener('abort', leave)
  }
}

async function logIn(server: OAuthServer, options: DeviceCodeOptions, stop: AbortController): Promise<OAuthTokens> {
  const parameters = parametersOf(options)
  const begun = await unlessStopped(stop.signal, () =>
    server.ask('a device code', {
      send: ({ oauth, as, client, clientAuth, http }) =>
        oauth.deviceAuthorizationRequest(as, client, clientAuth, parameters, http),
      read: ({ oauth, as, client }, response) => oauth.processDeviceAuthorizationResponse(as, client, response),
    }),
  )
  const { clock } = server
  const endsAt = clock.now() + begun.expires_in * 1000
  const complete = begun.verification_uri_complete
  const code: DeviceCode = {
    userCode: begun.user_code,
    verificationUri: shown(begun.verification_uri),
    ...(complete !== undefined && { verificationUriComplete: shown(complete) }),
    expiresInMs: begun.expires_in * 1000,
  }
  // A code is shown as long as the user needs: nothing waits for the end of that, and its failure ends the login.
  new Promise((resolve) => resolve(guard('onCode()', () => options.onCode(code)))).catch((cause) => stop.abort(cause))
  // Whole seconds, by the standard: a server that names less would be asked without a pause.
  const everyMs = Math.max(1000, (begun.interval ?? stepMs / 1000) * 1000)
  return poll(server, begun.device_code, everyMs, endsAt, stop.signal)
}

/** What is shown becomes a link, or a picture of one: a scheme of another kind would run as a script of the page. */
function shown(uri: string): string {
  if (!URL.canParse(uri) || /^https?:$/.test(new URL(uri).protocol)) return uri
  const message = 'deviceCode(): the server names a verification_uri that is no https URL'
  throw new CallError({ code: 'failed_precondition', message, sent: 'yes' })
}

async function poll(
  server: OAuthServer,
  code: string,
  everyMs: number,
  endsAt: number,
  signal: AbortSignal,
): Promise<OAuthTokens> {
  const { clock } = server
  let waitMs = everyMs
  for (;;) {
    if (clock.now() + waitMs >= endsAt) {
      await pause(clock, Math.max(0, endsAt - clock.now()), signal)
      throw refused('the device code', 'expired_token', { sent: 'yes' })
    }
    await pause(clock, waitMs, signal)
    try {
      return await unlessStopped(signal, () => askOnce(server, code))
    } catch (error) {
      if (signal.aborted || !(error instanceof CallError)) throw error
      if (error.reason === 'slow_down') waitMs += stepMs
      // RFC 8628 §3.5: who gets no answer asks less often.
      else if (error.isRetryable) waitMs *= 2
      else if (error.reason !== 'authorization_pending') throw error
    }
  }
}

function askOnce(server: OAuthServer, code: string): Promise<OAuthTokens> {
  return server.ask('a token', {
    send: ({ oauth, as, client, clientAuth, http }) => oauth.deviceCodeGrantRequest(as, client, clientAuth, code, http),
    read: async ({ oauth, as, client }, response) =>
      readTokens(server, await oauth.processDeviceCodeResponse(as, client, response)),
  })
}

function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  let timer: Timer | undefined
  const paused = unlessStopped(signal, () => new Promise<void>((resolve) => (timer = clock.setTimer(resolve, delayMs))))
  return paused.finally(() => timer?.clear())
}

/** What `work` gives, unless it is given up before that. */
function unlessStopped<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason)
    if (signal.aborted) return leave()
    signal.addEventListener('abort', leave, { once: true })
    work()
      .finally(() => signal.removeEventListener('abort', leave))
      .then(resolve, reject)
  })
}
