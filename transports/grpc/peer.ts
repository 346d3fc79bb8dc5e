import { CallError, type ErrorOrigin } from '../../src/core/errors/error.ts'
import type { GrpcWebWire } from './request.ts'

/**
 * A library that users install beside Polywire, loaded when a transport is made and not when this module is: so that a
 * missing one can be explained, and `require()` works.
 */
class Peer<T> {
  readonly #load: () => Promise<T>
  #loaded: T | undefined
  #loading: Promise<T> | undefined

  constructor(load: () => Promise<T>) {
    this.#load = load
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
      throw missingPeer(cause, origin)
    })
  }
}

/** What is used of connect-web. */
type ConnectWeb = Pick<typeof import('@connectrpc/connect-web'), 'createGrpcWebTransport'>
/** What is used of protobuf-es. */
type Protobuf = Pick<typeof import('@bufbuild/protobuf'), 'create' | 'fromBinary' | 'toBinary'>

/** @connectrpc/connect-web */
export const connectWeb: Peer<ConnectWeb> = /*#__PURE__*/ new Peer(() => import('@connectrpc/connect-web'))
/** @bufbuild/protobuf */
export const protobuf: Peer<Protobuf> = /*#__PURE__*/ new Peer(() => import('@bufbuild/protobuf'))

/** Starts loading what the next call will need. */
export function preloadPeer({ isFramed }: Pick<GrpcWebWire, 'isFramed'>): void {
  if (isFramed()) protobuf.preload()
  else connectWeb.preload()
}

function missingPeer(cause: unknown, origin: ErrorOrigin): CallError {
  const packages = '@connectrpc/connect @connectrpc/connect-web @bufbuild/protobuf'
  const message = `polywire/grpc-web could not load its libraries: run npm install ${packages}; nothing was sent`
  return new CallError({ code: 'failed_precondition', message, phase: 'resolve', sent: 'no', cause }, origin)
}
