import type { Signal } from '../../core/call/signal.ts'
import { CallError } from '../../core/errors/error.ts'
import { guard } from '../../core/guard.ts'
import { callable, checkOptions, has, type RulesOf, takes } from '../../core/options.ts'
import type { Clock } from '../../core/time/clock.ts'
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
  readonly signal?: Signal
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
  const { onCode, signal } = options
  const parameters = parametersOf(options)
  if (signal?.aborted) throw signal.reason
  const begun = await server.ask('a device code', {
    send: ({ oauth, as, client, clientAuth, http }) =>
      oauth.deviceAuthorizationRequest(as, client, clientAuth, parameters, http),
    read: ({ oauth, as, client }, response) => oauth.processDeviceAuthorizationResponse(as, client, response),
  })
  const { clock } = server
  const endsAt = clock.now() + begun.expires_in * 1000
  const complete = begun.verification_uri_complete
  await guard('onCode()', () =>
    onCode({
      userCode: begun.user_code,
      verificationUri: begun.verification_uri,
      ...(complete !== undefined && { verificationUriComplete: complete }),
      expiresInMs: begun.expires_in * 1000,
    }),
  )
  // Whole seconds, by the standard: a server that names less would be asked without a pause.
  const everyMs = Math.max(1000, (begun.interval ?? stepMs / 1000) * 1000)
  const tokens = await poll(server, begun.device_code, everyMs, endsAt, signal)
  const session = new Session(server, { keeper: keeperOf(options, server) })
  await session.set(tokens)
  return session
}

async function poll(
  server: OAuthServer,
  code: string,
  everyMs: number,
  endsAt: number,
  signal: Signal | undefined,
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
      return await askOnce(server, code)
    } catch (error) {
      if (!(error instanceof CallError)) throw error
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

function pause(clock: Clock, delayMs: number, signal: Signal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      timer.clear()
      reject(signal?.reason)
    }
    const timer = clock.setTimer(() => {
      signal?.removeEventListener('abort', leave)
      resolve()
    }, delayMs)
    if (signal?.aborted) leave()
    else signal?.addEventListener('abort', leave, { once: true })
  })
}
