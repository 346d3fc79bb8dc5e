import type { ChainParts, Interceptor } from '../core/call/interceptor.ts'
import { auth } from './auth.ts'
import { deadline } from './deadline.ts'
import { idempotencyKey } from './idempotency-key.ts'
import { resume } from './resume.ts'
import { retry } from './retry.ts'
import { attemptSpan, callSpan } from './telemetry.ts'

/** The default chain of one transport: array order is the order, first is outermost. What is not configured is left out. */
export function defaultInterceptors(parts: ChainParts): readonly Interceptor[] {
  const { telemetry, transport, timeoutMs } = parts
  const bounds = { timeoutMs, opening: transport.opening }
  const chain: readonly (Interceptor | readonly Interceptor[] | undefined)[] = [
    telemetry?.around?.call, //                    a tracer: everything else is inside of its span
    telemetry?.call && callSpan(telemetry), //     sees one call, whatever it took
    deadline(bounds), // bounds everything inside, waits too
    idempotencyKey({ profile: transport.idempotency }), //    outside retry: the same key on every attempt
    resume(bounds), //   outside retry: a re-open is an opening of its own
    parts.dedupe, //                                          outside retry: who joins a call shares its attempts
    retry(parts.retry), //                                    switched off it still serves calls with an option of their own
    parts.hedge, //                                           inside retry: two attempts in place of one
    parts.breaker, //                                         inside hedge: counts every attempt
    parts.limiter, //                                         inside breaker: who waits for a place has not failed
    parts.auth && auth(parts.auth), //                        inside retry: a fresh credential for every attempt
    telemetry?.around?.attempt, //                    a span for every send, whose trace goes along
    telemetry?.attempt && attemptSpan(telemetry), // innermost: sees every send
  ]
  return chain.flat().filter(Boolean) as Interceptor[]
}
