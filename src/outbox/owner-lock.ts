import { uuid } from '../core/call/uuid.ts'

interface Locks {
  request<T>(
    name: string,
    options: { readonly signal?: AbortSignal },
    work: (lock: unknown) => T | Promise<T>,
  ): Promise<T>
}

const marked = 'locked-'

/**
 * Says of this page that it lives, and finds out whether another one does: each outbox of a page holds a Web Lock of its
 * own name, and one that is free belongs to nobody who lives. A hint: without locks an entry waits for its lease.
 */
export class OwnerLock {
  readonly #locks: Locks | undefined
  #release: (() => void) | undefined
  readonly #asking = new AbortController()

  /** @param isSharedByLocks - all who share the store share locks as well: the tabs of an origin do, processes do not. */
  constructor(isSharedByLocks: boolean) {
    const { navigator } = globalThis as { navigator?: { readonly locks?: Locks } }
    this.#locks = isSharedByLocks ? navigator?.locks : undefined
  }

  /** Holds the lock of a name until `release`; `held` is told the name once it is. */
  hold(held: (owner: string) => void): string {
    const id = uuid()
    const until = new Promise<void>((resolve) => {
      this.#release = resolve
    })
    this.#locks
      ?.request(nameOf(marked + id), {}, () => {
        held(marked + id)
        return until
      })
      .catch(() => {})
    return id
  }

  /** Gives its own name up, and asks about nobody any more. */
  release(): void {
    this.#release?.()
    this.#asking.abort()
  }

  /** Settles once the owner of a claim is gone; never where nobody can tell, and not after `release`. */
  async gone(owner: string): Promise<void> {
    if (!this.#locks || !owner.startsWith(marked)) return new Promise(() => {})
    await this.#locks.request(nameOf(owner), { signal: this.#asking.signal }, () => {})
  }
}

function nameOf(owner: string): string {
  return `polywire:outbox:${owner}`
}
