import { refusal } from '../core/errors/refusal.ts'
import { guard, notify } from '../core/guard.ts'
import type { Callbacks } from '../core/long-running/feeds.ts'
import { aboveZero, callable, checkOptions, has, type RulesOf, takes, text } from '../core/options.ts'
import { Listeners } from '../core/store/listeners.ts'
import { memoryStore } from '../core/store/memory-store.ts'
import type { Store } from '../core/store/store.ts'
import { within } from '../core/time/bounded.ts'
import { systemClock } from '../core/time/clock.ts'
import type { WebhookEvent } from './event.ts'
import { answerMs } from './event-log.ts'

/** How callbacks of long-running operations find their runs. */
export interface RunCallbacksOptions {
  /** Where the receiver stands: told to the server as `callback_url`. */
  readonly url: string
  /** Which run an event is about. @defaultValue `id` of its data, else `name`, else `operation_id` */
  readonly id?: ((event: WebhookEvent<string, any>) => string | undefined) | undefined
  /**
   * The status document in an event, as the server's own are: it is then believed without a further question.
   *
   * @defaultValue none: an event makes whoever waits ask the server at once
   */
  readonly document?: ((event: WebhookEvent<string, any>) => unknown) | undefined
  /**
   * Where callbacks are kept that come before anybody waits, or to another process than the one that does.
   *
   * @defaultValue a store in this process
   */
  readonly store?: Store | undefined
  /** Tells callbacks of several endpoints in one store apart. @defaultValue 'default' */
  readonly name?: string | undefined
  /** How long a callback is kept; ms. @defaultValue 86_400_000 (a day) */
  readonly keepMs?: number | undefined
}

/** Callbacks of long-running operations, between the receiver of webhooks and whoever waits for a run. */
export interface RunCallbacks extends Callbacks {
  /**
   * Takes an event that the receiver has verified: call it in `handle` of `webhookReceiver`. An event about no run is
   * left alone.
   *
   * @throws {CallError} where the store does not take it: the receiver tries again.
   */
  deliver(event: WebhookEvent<string, any>): Promise<void>
}

const rules: RulesOf<RunCallbacksOptions> = {
  url: text,
  id: callable,
  document: callable,
  store: /* @__PURE__ */ takes('a Store', /* @__PURE__ */ has('set')),
  name: text,
  keepMs: aboveZero,
}

/**
 * Lets long-running operations end by a callback: the URL goes to the server with the request that starts a run, and the
 * event that the receiver gets for it wakes whoever waits, in this process, or by a store in another.
 *
 * An event that comes before the answer to its own start is kept. Where none comes, polls find the end, if later.
 *
 * @throws {CallError} `invalid_argument` when an option is wrong, or `url` is no absolute one.
 * @example
 * const callbacks = runCallbacks({ url: 'https://app.example.com/hooks/jobs' })
 * const receiver = webhookReceiver({ scheme, store, events: { done: webhook('job.done', type<Job>()) }, handle: callbacks.deliver })
 * const report = longRunning(post('/reports'), { result: type<Report>(), callbacks })
 */
export function runCallbacks(options: RunCallbacksOptions): RunCallbacks {
  checkOptions('runCallbacks()', options, rules)
  const { url, id = idOf, document, name = 'default', keepMs = 86_400_000, store = memoryStore() } = options
  if (typeof url !== 'string' || !URL.canParse(url))
    throw refusal('runCallbacks({ url }) takes an absolute URL', undefined)
  const here = new Listeners()
  // Half a surrogate pair has no escape: such a run has a key all the same.
  const coded = (text: string): string => encodeURIComponent(text.replace(/\p{Surrogate}/gu, '\ufffd'))
  const keyOf = (run: string): string => `runs/${coded(name)}/${coded(run)}`
  const ask = async <T>(member: string, run: () => T | Promise<T>): Promise<T> => {
    const inTime = (): Promise<T> => within(systemClock, answerMs, async () => run())
    return await guard(`store.${member}() of runCallbacks()`, inTime, undefined, {
      code: 'unavailable',
      isRetryable: true,
    })
  }
  return {
    url,
    async deliver(event) {
      const run = await guard('id() of runCallbacks()', () => id(event))
      if (run === undefined) return
      if (typeof run !== 'string') throw refusal('id() of runCallbacks() gives a text, or undefined', undefined)
      const entry = await guard('document() of runCallbacks()', async () =>
        JSON.stringify({ v: 1, document: await document?.(event) }),
      )
      const key = keyOf(run)
      await ask('set', () => store.set(key, entry, { ttlMs: keepMs }))
      here.tell(key, '')
      notify('store.tell() of runCallbacks()', () => store.tell?.(key, ''), undefined)
    },
    subscribe(run, listener) {
      const key = keyOf(run)
      let hasLeft = false
      /** What came stands in a store that does not answer: that something has may be all that anybody says. */
      const look = async (): Promise<void> => {
        const found = await ask('get', () => store.get(key)).then(readEntry, () => ({ document: undefined }))
        if (found && !hasLeft) listener(found.document)
      }
      const heard = guard('store.listen() of runCallbacks()', () => store.listen?.(key, () => void look()))
      const leave = here.add(key, look)
      void look()
      return () => {
        hasLeft = true
        leave()
        heard?.()
      }
    },
  }
}

/** As most servers name a run, in the data of an event. */
function idOf({ data }: WebhookEvent<string, any>): string | undefined {
  const found = [data?.id, data?.name, data?.operation_id].find(
    (each) => typeof each === 'string' || typeof each === 'number',
  )
  return found === undefined ? undefined : String(found)
}

/** A text of somebody else is no callback. */
function readEntry(entry: unknown): { readonly document?: unknown } | undefined {
  try {
    // Clients of databases may give bytes.
    const found = JSON.parse(`${entry}`)
    return found?.v === 1 ? found : undefined
  } catch {
    return undefined
  }
}
