import type { CallError } from '../errors/error.ts'
import type { Call } from './call.ts'

/** What proves who calls: made by an {@link Auth}, carried by the call, applied to the wire by the transport. */
export interface Credential {
  /** Names in lower case; never sent to another origin than the transport's own, nor over a redirect to one. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Query parameters, where an API demands the key there. */
  readonly query?: Readonly<Record<string, string>> | undefined
  /** The bare secret, for a WebSocket's sub-protocol, query or first message. */
  readonly secret?: string | undefined
  /**
   * Whom it proves, in a word that means nothing: what is shared (a socket, an event stream) is shared only among
   * calls of one identity and one principal. Another credential of the same principal renews it on the connection.
   *
   * @defaultValue `auth.identity` decides; without one, each secret is a principal of its own
   */
  readonly principal?: string | undefined
  /** What signs each request as it goes on the wire; made by `signedAuth()` and what is built on it. */
  readonly wire?: CredentialWire | undefined
}

/** What takes a request over where its bytes are final, on each attempt and each hop. A transport knows how to ask it. */
export interface CredentialWire {
  /** The headers of a WebSocket's handshake, with what it adds. */
  handshake(url: string, headers: Readonly<Record<string, string>>): Promise<Readonly<Record<string, string>>>
}

/** Where credentials come from; see `bearerAuth`, `apiKeyAuth`. One object may serve several transports. */
export interface Auth {
  /** Names the source in errors and telemetry. */
  readonly name: string
  /** The header that it sets, in lower case: a call that brings this header of its own is left as it is. @defaultValue 'authorization' */
  readonly header?: string | undefined
  /** Whose calls these are; two identities never share anything. @defaultValue one identity */
  identity?(call: Pick<Call, 'context' | 'options'>): string
  /**
   * The credential for one attempt. Bound to no call's abort. What it throws, or rejects with, each call that waits for
   * it gets as the cause of an error of its own: a failure that may pass (the network, a retryable CallError) is waited
   * for, anything else is a refusal.
   */
  credential(call: Call): Credential | undefined | Promise<Credential | undefined>
  /**
   * Another credential after `rejected` was refused, or undefined where there is none. Concurrent calls for the same
   * rejected credential must cause one refresh; a newer credential than the rejected one is given without any.
   */
  refresh?(rejected: Credential, call: Call, error: CallError): Promise<Credential | undefined>
}
