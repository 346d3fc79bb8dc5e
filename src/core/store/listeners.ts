import { notify } from '../guard.ts'
import type { Store } from './store.ts'

/** Who listens to which topic of a store, in this process. */
export class Listeners {
  readonly #byTopic = new Map<string, Set<(text: string) => void>>()

  /**
   * @param onChange - told when the first one of a topic comes and when the last one leaves.
   * @returns what takes the listener off.
   */
  add(topic: string, listener: (text: string) => void, onChange?: (isHeard: boolean) => void): () => void {
    const listeners = this.#byTopic.get(topic) ?? new Set()
    this.#byTopic.set(topic, listeners)
    // One of its own, so that who listens twice with one function is told twice, and ends each by itself.
    const own = (text: string): void => listener(text)
    listeners.add(own)
    if (listeners.size === 1) onChange?.(true)
    return () => {
      if (!listeners.delete(own) || listeners.size > 0) return
      this.#byTopic.delete(topic)
      onChange?.(false)
    }
  }

  tell(topic: string, text: string): void {
    for (const listener of this.#byTopic.get(topic) ?? []) notify('store.listen()', listener, undefined, text)
  }
}

/**
 * Listens to a store of a user's own; what goes wrong there is a warning, since what is told is a hint.
 *
 * @returns what ends it; undefined where nobody is heard.
 */
export function listenTo(
  store: Store,
  topic: string,
  listener: (text: string) => void,
  telemetry: Parameters<typeof notify>[2],
): (() => void) | undefined {
  let end: unknown
  const listen = (): unknown => {
    end = store.listen?.(topic, listener)
    return end
  }
  notify('store.listen()', listen, telemetry)
  return typeof end === 'function' ? () => notify('the end of store.listen()', end as () => void, telemetry) : undefined
}
