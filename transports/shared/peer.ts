import { CallError, type ErrorOrigin } from '../../src/core/errors/error.ts'

/**
 * A library that users install beside Polywire. It is loaded when it is first needed and not when Polywire is, so that
 * a missing one can be explained, and `require()` works.
 *
 * `load` imports a module of ours that re-exports what is used by name: a dynamic import of the library itself would
 * bring all of it into a bundle.
 */
export class Peer<T> {
  readonly #what: string
  readonly #load: () => Promise<T>
  #loaded: T | undefined
  #loading: Promise<T> | undefined

  /** @param what - for the message: the sub-path, what it could not load, and the packages to install. */
  constructor(what: readonly [subPath: string, library: string, packages: string], load: () => Promise<T>) {
    const [subPath, library, packages] = what
    this.#what = `polywire/${subPath} could not load '${library}': run npm install ${packages}; nothing was sent`
    this.#load = load
  }

  /** The library, once it has been needed. */
  get loaded(): T | undefined {
    return this.#loaded
  }

  /** Starts loading; what goes wrong is told to the first call. */
  preload(): void {
    if (this.#loading) return
    this.#loading = this.#load().then((library) => (this.#loaded = library))
    this.#loading.catch(() => {
      this.#loading = undefined
    })
  }

  /**
   * The library, without waiting where it is there.
   *
   * @throws {CallError} `failed_precondition` when it is not installed.
   */
  get(origin: ErrorOrigin): T | Promise<T> {
    if (this.#loaded) return this.#loaded
    this.preload()
    return (this.#loading as Promise<T>).catch((cause: unknown) => {
      const failure = { code: 'failed_precondition', phase: 'resolve', sent: 'no', cause } as const
      throw new CallError({ ...failure, message: this.#what }, origin)
    })
  }
}
