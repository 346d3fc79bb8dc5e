import type { Auth } from './auth.ts'
import type { CallOptions } from './call-options.ts'
import type { Interceptor } from './interceptor.ts'
import type { OperationInfo } from './operation.ts'
import type { Transport } from './transport.ts'

/**
 * What a face (a `fetch`, an `EventSource`) needs of a client: a route of its own through the client's chain, whose calls share budget,
 * waits, refreshes and life with all others.
 */
export interface FaceHost {
  /**
   * Adds a transport under a key where the client has none yet.
   *
   * @param outermost - stands before the whole chain: what it gives is what the caller gets.
   */
  addFace(via: string, transport: Transport, ...outermost: readonly Interceptor[]): void
  /** Takes one that was added away again, and closes its transport. */
  removeFace(via: string): Promise<void>
  /** Runs one unary call; gives its message. */
  run(info: OperationInfo, input: unknown, options: CallOptions): Promise<unknown>
  /** The credentials of an origin that one of the client's own transports calls; undefined where none does, or it has none. */
  authOf(origin: string): Auth | undefined
  close(): Promise<void>
}

const hosts = /* @__PURE__ */ new WeakMap<object, FaceHost>()

/** Makes a client known to faces. */
export function registerHost(client: object, host: FaceHost): void {
  hosts.set(client, host)
}

/** What stands behind a client; undefined for anything else. */
export function hostOf(client: object): FaceHost | undefined {
  return hosts.get(client)
}
