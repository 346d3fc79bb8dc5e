import { CallError, type ErrorOrigin } from '../../src/core/errors/error.ts'

/**
 * A library that users install beside Polywire. It is loaded when it is first needed and not when Polywire is, so that
 * a missing one can be explained, and `require()` works.
 *
 * Where a library has more than we use, `load` imports a module of ours that re-exports that by name: a dynamic import of
 * the library itself brings all of it into a bundle.
 */
export class Peer<T> {
  readonly #message: string
  readonly #load: () => Promise<T>
  /** The library, once it has been needed. */
  loaded: T | undefined
  #loading: Promise<T> | undefined

  /** @param what - for the message: the sub-path, what it could not load, and the packages to install. */
  constructor([subPath, library, packages]: readonly string[], load: () => Promise<T>) {
    this.#message = `polywire/${subPath} could not load '${library}': run npm install ${packages}; nothing was sent`
    this.#load = load
  }

  /** Starts loading; what goes wrong is told to the first call. */
  preload(): void {
    this.#loading ??= this.#load().then((library) => (this.loaded = library))
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
    if (this.loaded) return this.loaded
    this.preload()
    return (this.#loading as Promise<T>).catch((cause: unknown) => {
      const message = this.#message
      throw new CallError({ code: 'failed_precondition', message, phase: 'resolve', sent: 'no', cause }, origin)
    })
  }
}
