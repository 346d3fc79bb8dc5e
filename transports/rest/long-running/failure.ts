import type { Code } from '../../../src/core/errors/code.ts'
import type { Failure } from '../../../src/core/errors/failure.ts'
import { isRecord } from '../../../src/core/tag.ts'
import { readErrorEnvelope } from '../../http/envelope.ts'
import { statusRow } from '../../shared/http-status.ts'

/** The names of google.rpc.Code in the order of their numbers, of which 0 is OK. */
const names =
  /* @__PURE__ */ 'canceled unknown invalid_argument deadline_exceeded not_found already_exists permission_denied resource_exhausted failed_precondition aborted out_of_range unimplemented internal unavailable data_loss unauthenticated'.split(
    ' ',
  )

/**
 * What a run failed with, as the failure of a call: never retryable, since the run was carried out.
 *
 * @param error - as the server says it: an object with `code`, `message`, `details`, problem details, or a text.
 */
export function runFailure(status: 'failed' | 'canceled', error: unknown): Failure {
  const inner = isRecord(error) && isRecord(error.error) ? error.error : error
  const envelope = readErrorEnvelope(inner, typeof inner === 'string' ? 'text/plain' : '', 422)
  const { retryAfterMs: _, isQuotaExhausted: __, ...said } = envelope
  return {
    ...said,
    code: status === 'canceled' ? 'canceled' : codeOf(inner),
    message: status === 'canceled' ? 'the run was canceled' : 'the run has failed at the server',
    phase: 'body',
    sent: 'yes',
    isRetryable: false,
    details: envelope.details ?? (isRecord(inner) ? inner.details : undefined),
    body: error,
  }
}

/** A canonical name, its number, or an HTTP status, wherever the server writes it. */
function codeOf(error: unknown): Code {
  if (!isRecord(error)) return 'unknown'
  for (const each of [error.status, error.code]) {
    if (typeof each === 'number' && each >= 400 && each < 600) return statusRow(each).code
    if (typeof each === 'number' && names[each - 1]) return names[each - 1] as Code
    const name = typeof each === 'string' ? each.toLowerCase().replace('cancelled', 'canceled') : ''
    if (names.includes(name)) return name as Code
  }
  return 'unknown'
}
