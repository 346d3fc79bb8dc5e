import type { Call } from '../core/call/call.ts'
import { CallError } from '../core/errors/error.ts'
import type { Clock } from '../core/time/clock.ts'
import type { BearerAuthOptions, BearerToken, TokenRequest } from './bearer.ts'

type Given = string | BearerToken | undefined
type Ask = (request: TokenRequest) => Given | Promise<Given>

/** What one identity holds. */
interface Held {
  /** A token with a declared life. */
  kept: { readonly token: string; readonly endsAt: number } | undefined
  /** Tokens that the server refused, and the one that replaced them. */
  readonly refused: Set<string>
  replacement: string | undefined
  renewing: Promise<string | undefined> | undefined
  asking: Promise<string | undefined> | undefined
  failed: { readonly token: string; readonly error: unknown; readonly at: number } | undefined
}

/** A renewal that failed is not tried again for the same token within this; ms. */
const failureHoldMs = 5000
/** Refused tokens remembered for one identity. */
const maxRefused = 32

/**
 * Tokens, partitioned by identity, with one renewal at a time for each.
 *
 * A call that was refused with an older token than the current one uses the current one; a renewal belongs to no call,
 * so that the abort of the first caller does not fail the other ninety-nine.
 */
export class TokenSource {
  readonly #ask: Ask
  readonly #options: BearerAuthOptions
  readonly #held = new Map<string, Held>()

  constructor(ask: Ask, options: BearerAuthOptions) {
    this.#ask = ask
    this.#options = options
  }

  /** The token for one attempt. */
  get(call: Call): string | undefined | Promise<string | undefined> {
    const held = this.#of(call.identity)
    const { clock, telemetry } = call.scope.services
    if (held.kept && clock.now() < held.kept.endsAt - (this.#options.refreshBeforeMs ?? 60_000)) return held.kept.token
    if (held.renewing ?? held.asking) return held.renewing ?? held.asking
    if (held.kept) telemetry?.event?.({ type: 'refresh', call })
    const given = this.#ask({ reason: held.kept ? 'expiring' : 'attempt', identity: call.identity })
    if (!(given instanceof Promise)) return keep(held, given, clock)
    held.asking = given
      .then((token) => keep(held, token, clock))
      .finally(() => {
        held.asking = undefined
      })
    return held.asking
  }

  /** The token that replaces `refused`: one renewal for all that ask, none where it has been replaced already. */
  renew(refused: string, call: Call): Promise<string | undefined> {
    const held = this.#of(call.identity)
    const { clock } = call.scope.services
    if (held.renewing) return held.renewing
    if (held.refused.has(refused) && held.replacement !== undefined && held.replacement !== refused)
      return Promise.resolve(held.replacement)
    if (held.failed?.token === refused && clock.now() - held.failed.at < failureHoldMs)
      return Promise.reject(held.failed.error)
    held.renewing = this.#renewal(held, refused, call).finally(() => {
      held.renewing = undefined
    })
    return held.renewing
  }

  async #renewal(held: Held, refused: string, call: Call): Promise<string | undefined> {
    const { clock, telemetry } = call.scope.services
    remember(held.refused, refused)
    if (held.kept && held.kept.token !== refused) return held.kept.token
    held.kept = undefined
    try {
      // Another call, tab or login may have replaced it: then no renewal is needed.
      const current = this.#options.refresh ? await this.#now(held, call) : undefined
      if (current !== undefined && !held.refused.has(current)) return current
      telemetry?.event?.({ type: 'refresh', call })
      const request: TokenRequest = { reason: 'rejected', rejected: refused, identity: call.identity }
      const given = (await (this.#options.refresh ?? this.#ask)(request)) as Given
      const token = given === undefined ? await this.#now(held, call) : keep(held, given, clock)
      held.replacement = token !== undefined && held.refused.has(token) ? undefined : token
      held.failed = undefined
      return held.replacement
    } catch (cause) {
      const error = new CallError(
        {
          code: 'unauthenticated',
          message: 'the token was refused and its renewal failed: see cause; log in again',
          phase: 'headers',
          sent: 'yes',
          cause,
        },
        call,
      )
      held.failed = { token: refused, error, at: clock.now() }
      throw error
    }
  }

  async #now(held: Held, call: Call): Promise<string | undefined> {
    return keep(held, await this.#ask({ reason: 'attempt', identity: call.identity }), call.scope.services.clock)
  }

  #of(identity: string): Held {
    let held = this.#held.get(identity)
    if (!held) {
      held = {
        kept: undefined,
        refused: new Set(),
        replacement: undefined,
        renewing: undefined,
        asking: undefined,
        failed: undefined,
      }
      this.#held.set(identity, held)
    }
    return held
  }
}

/** Keeps a token that declares its life; a refused one is replaced by what its renewal gave. */
function keep(held: Held, given: Given, clock: Clock): string | undefined {
  if (given === undefined || typeof given === 'string') {
    held.kept = undefined
    return given !== undefined && held.replacement !== undefined && held.refused.has(given) ? held.replacement : given
  }
  const lifeMs =
    given.expiresInMs ?? (given.expiresAt === undefined ? undefined : Number(given.expiresAt) - clock.wallNow())
  held.kept = lifeMs === undefined ? undefined : { token: given.token, endsAt: clock.now() + lifeMs }
  return given.token
}

function remember(refused: Set<string>, token: string): void {
  refused.add(token)
  if (refused.size > maxRefused) refused.delete(refused.values().next().value as string)
}
