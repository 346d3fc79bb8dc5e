import type { Call } from '../call/call.ts'
import { CallError } from '../errors/error.ts'
import type { Failure } from '../errors/failure.ts'
import { refusal } from '../errors/refusal.ts'
import { aboveZero, checkOptions, notNegative, type RulesOf } from '../options.ts'
import { within } from '../time/bounded.ts'
import { canonicalText } from './canonical-text.ts'
import type { CursorKeeper, CursorPlace } from './cursor-place.ts'
import { CursorWriter } from './cursor-writer.ts'
import type { Store } from './store.ts'

/** How a place in a stream is kept. */
export interface StoredCursorOptions {
  /** At most one write within this, beside the last one; ms. @defaultValue 1_000 */
  readonly everyMs?: number | undefined
  /** Forgotten this long after it was last written; ms. @defaultValue kept until the stream ends */
  readonly ttlMs?: number | undefined
  /** How long an answer of the store is waited for; ms. @defaultValue 5_000 */
  readonly timeoutMs?: number | undefined
}

const rules: RulesOf<StoredCursorOptions> = { everyMs: notNegative, ttlMs: aboveZero, timeoutMs: aboveZero }

/**
 * Keeps the place of a stream in a store, so that another process, or the same one after a crash, goes on where this one
 * stopped. Passed as the `cursor` of a call.
 *
 * Kept is what was *consumed*: nothing is lost, and what was consumed after the last write comes once more. Places are
 * kept apart by `key`, operation, input and identity. A stream that ends by itself, or that has lost messages for good
 * (`data_loss`), gives its place up. Where two processes write one place, the later offset stays; among opaque cursors
 * the last word.
 *
 * A stream that cannot be resumed is refused with `failed_precondition`; one whose messages come without cursors is a
 * warning in the telemetry.
 *
 * A store that cannot be read fails the opening, since to open without would lose messages. One that cannot be written
 * stops no stream: it is a warning in the telemetry, and `close()` rejects where the last place could not be kept. Both
 * are a CallError `unavailable`.
 *
 * @param key - names who consumes; two consumers of one stream need two.
 * @throws {CallError} `invalid_argument` where an option is unknown, or is not what it takes.
 * @example
 * const mailer = storedCursor(store, 'mailer')
 * for await (const event of client.call(watch, { id: 7 }, { cursor: mailer })) await send(event.data)
 */
export function storedCursor(store: Store, key: string, options: StoredCursorOptions = {}): CursorPlace {
  if (typeof store?.compareAndSet !== 'function') throw refusal('storedCursor(store, key) takes a Store', undefined)
  if (typeof key !== 'string' || key === '')
    throw refusal('storedCursor(store, key) takes a key that is a text', undefined)
  checkOptions('storedCursor()', options, rules)
  return { open: (call, consumed) => openStored(store, key, options, call, consumed) }
}

async function openStored(
  store: Store,
  key: string,
  { everyMs = 1000, ttlMs, timeoutMs = 5000 }: StoredCursorOptions,
  call: Call,
  consumed: () => string | undefined,
): Promise<CursorKeeper> {
  const { isResumable, resume } = call.operation
  if (!isResumable && !resume) throw new CallError(notResumable, call)
  const { clock } = call.scope.services
  const place = placeOf(key, call)
  try {
    const cursor: unknown = (await within(clock, timeoutMs, async () => store.get(place))) ?? undefined
    if (cursor !== undefined && typeof cursor !== 'string') throw new TypeError('get() of a store answers with a text')
    return new CursorWriter({ store, place, everyMs, ttlMs, timeoutMs, call, consumed }, cursor)
  } catch (cause) {
    const message = 'the store that keeps the cursor could not be read: see cause; nothing was sent'
    throw new CallError({ code: 'unavailable', message, phase: 'resolve', sent: 'no', isRetryable: true, cause }, call)
  }
}

const notResumable: Failure = {
  code: 'failed_precondition',
  message: 'the stream cannot be opened again where it stopped, so its place cannot be kept: declare resume',
  phase: 'resolve',
  sent: 'no',
}

/** Whose place it is, in which stream. */
function placeOf(key: string, call: Call): string {
  const { via, name } = call.operation
  try {
    return `cursor:${JSON.stringify([key, via, name, call.identity])}${canonicalText(call.input)}`
  } catch (cause) {
    throw refusal('the input cannot be written down, which a stored cursor needs', call, cause)
  }
}
