import type { Services } from '../call/scope.ts'
import { memoryStore } from '../store/memory-store.ts'
import { sharedBy } from './share.ts'
import type { Shared, SharedOptions } from './sharing.ts'
import { canShareTabs, TabStore } from './tab-store.ts'

/**
 * Lets the tabs and workers of an origin share what servers have told each of them, as `processes()` does, by Web Locks
 * and a BroadcastChannel: no store, nothing written to a disk.
 *
 * On a page that is not secure (https), which has no Web Locks, or that may hold none (a sandboxed frame, blocked cookies),
 * each tab is for itself, and telemetry hears of it.
 *
 * @param name - of what is shared: only clients of one name share.
 * @throws {CallError} `invalid_argument` where an option is none.
 * @example
 * const client = createClient({ transports, auth, shared: tabs('shop') })
 */
export function tabs(name: string, options: SharedOptions = {}): Shared {
  // A lock goes from tab to tab: where all of them want it at once, the last one waits a little.
  return sharedBy('tabs()', (services) => storeOf(services, name), name, {
    ...options,
    waitMs: options?.waitMs ?? 1000,
  })
}

function storeOf({ clock, telemetry }: Services, name: string) {
  let isTold = false
  const alone = (why: string): void => {
    if (isTold) return
    isTold = true
    telemetry?.event?.({ type: 'warning', call: undefined, message: `tabs(): nothing is shared on a page that ${why}` })
  }
  if (canShareTabs()) return new TabStore(name, clock, () => alone('may hold no Web Locks: it may store nothing'))
  alone('has no Web Locks (is it secure: https?), or no BroadcastChannel')
  return memoryStore({ clock })
}
