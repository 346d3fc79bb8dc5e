import type { ChainParts, Interceptor } from '../core/call/interceptor.ts'
import { auth } from './auth.ts'
import { deadline } from './deadline.ts'
import { idempotencyKey } from './idempotency-key.ts'
import { resume } from './resume.ts'
import { retry } from './retry.ts'
import { attemptSpan, callSpan } from './telemetry.ts'

/** The default chain of one transport: array order is the order, first is outermost. */
export function defaultInterceptors(parts: ChainParts): readonly Interceptor[] {
  const { telemetry, transport } = parts
  return [
    ...(telemetry?.call ? [callSpan(telemetry)] : []), //     sees one call, whatever it took
    deadline({ timeoutMs: parts.timeoutMs, opening: transport.opening }), // bounds everything inside, waits too
    idempotencyKey({ profile: transport.idempotency }), //    outside retry: the same key on every attempt
    resume({ timeoutMs: parts.timeoutMs, opening: transport.opening }), //   outside retry: a re-open is an opening of its own
    retry(parts.retry), //                                    switched off it still serves calls with an option of their own
    ...(parts.auth ? [auth(parts.auth)] : []), //             inside retry: a fresh credential for every attempt
    ...(telemetry?.attempt ? [attemptSpan(telemetry)] : []), // innermost: sees every send
  ]
}
