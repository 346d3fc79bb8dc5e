import type { Call } from '../../../src/core/call/call.ts'
import { type CallError, isAnyCallError } from '../../../src/core/errors/error.ts'
import { refusal } from '../../../src/core/errors/refusal.ts'
import type { Representation } from './representation.ts'

/** Whether a download goes on after it. */
export function isPassing(error: unknown): boolean {
  return isAnyCallError(error) && (error.isRetryable || error.code === 'deadline_exceeded')
}

/** What is refused of a download, which sends nothing, whatever its call has sent before. */
export function misuse(what: string, { operation }: Call): CallError {
  return refusal(what, { operation })
}

/** An answer to a request without a range. */
export const partForWhole =
  'the server gave a part of the file where the whole was asked for: read it without ranges, by response: byteStream'

/** Why a download that broke cannot go on. */
export function whyFinal({ isEncoded }: Representation, mayResume: boolean): string {
  if (isEncoded) return 'its body is compressed'
  return mayResume
    ? 'the server names neither a strong ETag, nor a date, nor a digest, by which the parts could be told to be of one file'
    : 'the server gives no ranges of it'
}
