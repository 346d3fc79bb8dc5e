import type { Credential } from '../../src/core/call/auth.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import type { SocketEnd } from './driver/driver.ts'
import type { CredentialPlace } from './link/credential.ts'

/** One frame: text or bytes. */
export type WireFrame = string | Uint8Array

/** What is said at once: a frame, or several in this order (a text and the bytes that belong to it). */
export type WireFrames = WireFrame | readonly WireFrame[]

/** A place in a channel's history: a number is an offset (consecutive within its epoch), a string is opaque. */
export interface WireCursor {
  readonly id: string | number
  /** Names the history that the id belongs to; another one means that the history began anew. */
  readonly epoch?: string | undefined
}

/** What a socket is about to be opened with. */
export interface Handshake {
  readonly url: string
  /** Names in lower case; taken only where `takesHeaders`. */
  readonly headers: Readonly<Record<string, string>>
  readonly subprotocols: readonly string[]
  /** What of it comes back is placed by `authIn`; an adapter that has placed it gives none. */
  readonly credential: Credential | undefined
  /** Whether this platform's socket sends headers: browsers do not. */
  readonly takesHeaders: boolean
  /** Aborted where the socket is no longer wanted, or `connectTimeoutMs` is over. */
  readonly signal: AbortSignal
}

/** The first words on a fresh socket. */
export interface Hello {
  readonly ref: number
  /** Set where the credential goes into a message (or was not placed in the handshake). */
  readonly credential: Credential | undefined
}

/** A subscription to be made. */
export interface Subscribe {
  /** Comes back in `ack` and `error`; what the server sends for it may be known by it, too. */
  readonly ref: number
  /** Where its frames are to come back to: the channel's name where a subscription is shared, else a fresh id. */
  readonly topic: string
  readonly payload: unknown
  /** Continue after this. */
  readonly since?: WireCursor | undefined
}

/** A subscription to be ended. */
export interface Unsubscribe {
  readonly topic: string
  /** The `ref` that it was made with. */
  readonly subscription: number
}

/** A message on a subscription. */
export interface Publish extends Unsubscribe {
  readonly ref: number
  /** Lets the server drop what it has seen. */
  readonly key: string | undefined
  readonly message: unknown
  /** Whether an `ack` is waited for. */
  readonly isAcked: boolean
}

/** A message that one reply belongs to. */
export interface Request {
  readonly ref: number
  readonly name: string
  readonly payload: unknown
  readonly key: string | undefined
  /** What is left of the deadline; whole ms. */
  readonly timeoutMs: number | undefined
  readonly headers: Readonly<Record<string, string>>
}

/**
 * What a received frame means. A subscription is named by the `ref` that it was made with, or by its topic; where both
 * are given, the `ref` decides.
 */
export type Incoming =
  /** A message of a subscription; or a request's reply, where `ref` is that of a request. */
  | {
      readonly kind: 'data'
      readonly ref?: number | undefined
      readonly topic?: string | undefined
      readonly message: unknown
      readonly at?: WireCursor | undefined
    }
  /** The hello, a subscription, a message or a request, by its `ref`, was accepted; `message` is a request's reply. */
  | ({ readonly kind: 'ack'; readonly ref: number; readonly message?: unknown } & Acceptance)
  /** The same for a server that names the topic instead of the `ref`. */
  | ({ readonly kind: 'subscribed'; readonly topic: string } & Acceptance)
  /** The hello was accepted, by a protocol without refs. */
  | ({ readonly kind: 'ready' } & Promised)
  /** What `ref` or `topic` names was refused or has failed; without either, the connection as a whole. */
  | {
      readonly kind: 'error'
      readonly ref?: number | undefined
      readonly topic?: string | undefined
      readonly failure: Failure
    }
  /** The server has no more messages for this subscription. */
  | { readonly kind: 'end'; readonly ref?: number | undefined; readonly topic?: string | undefined }
  | { readonly kind: 'ping'; readonly payload?: unknown }
  | { readonly kind: 'pong' }
  /** The protocol wants this said now: the next step of a handshake, an acknowledgement, what waited for one. */
  | { readonly kind: 'answer'; readonly frames: WireFrames }
  /** The server asks the client to leave this socket. */
  | { readonly kind: 'goodbye'; readonly verdict: CloseVerdict }

/** What a server promises when it accepts a hello. */
export interface Promised {
  /** It is never silent for longer, since it pings by itself: before that, silence proves nothing; ms. */
  readonly silenceMs?: number | undefined
}

/** What a server says of a subscription that it accepts. */
export interface Acceptance extends Promised {
  /** The channel's newest place at this moment: known before the first message. */
  readonly at?: WireCursor | undefined
  /** Nothing was lost since `since`; false: something was. */
  readonly recovered?: boolean | undefined
  /** From now on the server acknowledges each message that carries a `ref`. */
  readonly acks?: boolean | undefined
}

/**
 * What the end of a socket means: `retry` reconnects after a backoff, `refresh-auth` asks for another credential first,
 * `fatal` fails all that used it.
 */
export interface CloseVerdict {
  readonly action: 'retry' | 'refresh-auth' | 'fatal'
  readonly failure: Failure
  /** Not before this; ms. */
  readonly minDelayMs?: number | undefined
  /** What this side closes the socket with, where it is this side that gives it up. @defaultValue 1000 */
  readonly closeCode?: number | undefined
}

/** What a protocol can do. */
export interface WireTraits {
  /** The server answers a subscription; `auto`: it may, and is waited for a moment. */
  readonly subscribed: boolean | 'auto'
  /** The server acknowledges messages; `auto`: once it says so. */
  readonly acks: boolean | 'auto'
  /** Nothing is sent before the hello was accepted. */
  readonly isHelloAwaited: boolean
  /**
   * The server hangs up on a client that says nothing for long, however much it says itself: `ping()` goes out so often,
   * also where the socket can ping by itself; ms. @defaultValue only silence is asked about
   */
  readonly keepAliveMs?: number | undefined
  /** The close code for a socket whose hello is not answered in time. @defaultValue none: the connection is cut */
  readonly helloTimeoutCode?: number | undefined
  /**
   * Streams of the same topic and payload share one subscription. Where not, each has its own, whose messages and end
   * must come back under its `ref`.
   */
  readonly isShared: boolean
  /**
   * Where servers of this protocol look for the credential, unless the option `authIn` says otherwise.
   *
   * @defaultValue 'header' where the socket takes headers, else 'message'
   */
  readonly authIn?: CredentialPlace | undefined
}

/**
 * One protocol over a WebSocket, without I/O: what the session wants to say becomes frames, what comes in becomes
 * {@link Incoming}. Everything else (connecting, waiting, resuming, queues) is the link's and the session's.
 *
 * A protocol whose frames depend on what went before (a message that spans frames, a reply that names only its `ref`)
 * has state, which belongs to one connection: give `websocketTransport` a function that makes the adapter, and it is
 * called for each connection. What an encoder throws fails the one call that it was for. An encoder that may return
 * undefined has then nothing to say. See `docs/add-a-wire-adapter.md`.
 */
export interface WireAdapter {
  /** Names the protocol in errors. */
  readonly name: string
  /** Offered in the handshake; the server must pick one. */
  readonly subprotocols?: readonly string[] | undefined
  /** What the protocol can do. */
  readonly traits: WireTraits
  /** Changes what the socket is opened with: a path, a query, a token that is fetched first. A throw fails the attempt. */
  handshake?(handshake: Handshake): Handshake | Promise<Handshake>
  /**
   * The first words on a socket, with the credential where it goes into a message; `[]` where the server speaks first
   * and is waited for.
   */
  hello(hello: Hello): WireFrames | undefined | Promise<WireFrames | undefined>
  /** Another credential on a live socket; undefined where only a new socket can take one. */
  reauthenticate?(hello: Hello): WireFrames
  /** Joins a channel, from behind a place where `since` names one. */
  subscribe(subscribe: Subscribe): WireFrames | undefined
  /** Leaves a channel. */
  unsubscribe(unsubscribe: Unsubscribe): WireFrames | undefined
  /** Sends a message on a channel. */
  publish(publish: Publish): WireFrames
  /** Sends a message that one reply belongs to; `[]` where the adapter says it later, by an `answer`. */
  request(request: Request): WireFrames
  /**
   * The socket could take this frame no more. A message or request is then sent again by whoever sent it: an adapter that
   * remembers over a drop what it is to send again forgets it.
   */
  unsent?(frame: WireFrame): void
  /** The caller has gone; undefined where a request cannot be called back. */
  cancel(ref: number): WireFrames | undefined
  /** Asks whether the server is there, where the socket cannot ping by itself; undefined where the protocol has no word for it. */
  ping(): WireFrames | undefined
  /** Answers a ping of the server. */
  pong(payload: unknown): WireFrames | undefined
  /** What a frame means; undefined for one that means nothing. A throw is taken for a malformed frame: closed with 4400. */
  decode(frame: WireFrame): Incoming | readonly Incoming[] | undefined
  /** What the end of a socket means. */
  classifyClose(end: SocketEnd): CloseVerdict
}

/** What an adapter with state is made with, anew for each connection. */
export interface Wire {
  /**
   * Lives as long as the principal's session, over all its connections: what must outlive a drop is kept under it, in a
   * WeakMap.
   */
  readonly session: object
  /** Says what no frame has brought: an answer that the adapter knows itself. Never while an encoder is running. */
  receive(incoming: Incoming): void
}

/** An adapter without state, or what makes one for each connection. */
export type WireAdapterOption = WireAdapter | ((wire: Wire) => WireAdapter)
