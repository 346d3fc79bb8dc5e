type Listener = (event: { readonly persisted?: boolean }) => void

/** A browser's page as far as Polywire looks at it, driven by the test. */
export class FakePage {
  readonly #window = new Map<string, Set<Listener>>()
  readonly #document = new Map<string, Set<Listener>>()
  readonly location = {}
  readonly navigator = { onLine: true }
  readonly document = {
    visibilityState: 'visible',
    addEventListener: (type: string, listener: Listener) => add(this.#document, type, listener),
    removeEventListener: (type: string, listener: Listener) => void this.#document.get(type)?.delete(listener),
  }

  addEventListener(type: string, listener: Listener): void {
    add(this.#window, type, listener)
  }

  removeEventListener(type: string, listener: Listener): void {
    this.#window.get(type)?.delete(listener)
  }

  get listeners(): number {
    return [...this.#window.values(), ...this.#document.values()].reduce((sum, { size }) => sum + size, 0)
  }

  goOffline(): void {
    this.navigator.onLine = false
    this.window('offline')
  }

  goOnline(): void {
    this.navigator.onLine = true
    this.window('online')
  }

  hide(): void {
    this.document.visibilityState = 'hidden'
    fire(this.#document, 'visibilitychange')
  }

  show(): void {
    this.document.visibilityState = 'visible'
    fire(this.#document, 'visibilitychange')
  }

  /** Into the back/forward cache. */
  freeze(): void {
    this.window('pagehide', { persisted: true })
  }

  /** Out of it. */
  restore(): void {
    this.window('pageshow', { persisted: true })
  }

  /** Out of Chrome's freeze. */
  resume(): void {
    fire(this.#document, 'resume')
  }

  window(type: string, event: { readonly persisted?: boolean } = {}): void {
    fire(this.#window, type, event)
  }
}

function add(listeners: Map<string, Set<Listener>>, type: string, listener: Listener): void {
  const set = listeners.get(type) ?? new Set()
  listeners.set(type, set.add(listener))
}

function fire(listeners: Map<string, Set<Listener>>, type: string, event = {}): void {
  for (const listener of [...(listeners.get(type) ?? [])]) listener(event)
}
