import type { CallOptions, Client, Code, IdempotencyOption, Phase, Sent, Stream, Transport } from 'polywire'

/** What the server does with one request; the next in the plan is taken for each that arrives, `serve` when it is empty. */
export type Deed =
  | { readonly do: 'serve' }
  /** Says no in the protocol's own words: a row of {@link Harness.refusals}. */
  | { readonly do: 'refuse'; readonly as: string }
  /**
   * An HTTP answer in one piece, such as a gateway or a limiter gives; over sockets it is the answer to the handshake,
   * where none is open. The location `self` is that of the request.
   */
  | { readonly do: 'answer'; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** Asks for less load in the protocol's own words, where it has some. */
  | { readonly do: 'throttle'; readonly waitMs: number }
  /** The first request with this idempotency key still runs: 409 and Retry-After, or the protocol's own words. */
  | { readonly do: 'keyInFlight'; readonly waitMs: number }
  /** Did not run the call and says when to come back. */
  | { readonly do: 'busy'; readonly retryAfterS: number }
  /** Reads the request and never answers. */
  | { readonly do: 'hang' }
  /** Half of an answer, then silence. */
  | { readonly do: 'stall' }
  /** RST before any byte of an answer. */
  | { readonly do: 'reset' }
  /** Half of an answer, then RST. */
  | { readonly do: 'cut' }
  /** An answer larger than {@link maxAnswerBytes}. */
  | { readonly do: 'flood' }
  /** An answer that is none. */
  | { readonly do: 'garble' }
  /** A stream: so many messages, then RST. */
  | { readonly do: 'drop'; readonly after: number }

/** The limit that {@link Harness.transport} sets where the protocol has one. */
export const maxAnswerBytes = 65_536
/** Stands in everything that a server says of a failure: no error message may show it. */
export const serverText = 'SERVER-TEXT-7781'
/** Messages in a {@link Api.feed}: numbered from 1; silence follows. */
export const feedLength = 10

/** One request as the server saw it. */
export interface Seen {
  readonly token: string | undefined
  readonly text: string
  readonly deed: Deed['do']
  /** Where a stream is asked to continue. */
  readonly cursor?: string | undefined
  readonly key?: string | undefined
  /** What the caller says is left of its deadline. */
  readonly remainingMs?: number | undefined
}

/** A real server that does as planned. */
export interface Peer {
  /** Scheme, host and port. */
  readonly origin: string
  /** Every request that reached the server, in order. */
  readonly seen: readonly Seen[]
  readonly openSockets: number
  /** Requests and streams that the server is still busy with. */
  readonly openExchanges: number
  plan(...deeds: Deed[]): void
  /** Other tokens are refused as the protocol refuses them; everything is accepted at first. */
  accept(token: string): void
  close(): Promise<void>
}

/** How one wire condition of the mapping table appears to the caller. */
export interface Refusal {
  readonly name: string
  readonly code: Code
  readonly isRetryable?: boolean
  readonly status?: number
  readonly retryAfterMs?: number
  /** `maybe` where it is no answer, but the end of the connection. @defaultValue 'yes' */
  readonly sent?: Sent
}

/** What the suite calls. */
export interface Api {
  /** Idempotent: gives `text` back. */
  read(text: string, options?: CallOptions): Promise<string>
  /** The same, whose answer is then converted by `convert`, of the caller's own. */
  converted?(text: string, convert: () => unknown, options?: CallOptions): Promise<unknown>
  /** Not idempotent: gives `text` back. */
  write?(text: string, options?: CallOptions): Promise<string>
  /** The numbers from 1 to {@link feedLength}, with cursors. */
  feed?(options?: CallOptions): Stream<number>
  /** The same, where nothing can be resumed. */
  live?(options?: CallOptions): Stream<number>
}

/** Of a transport in a test. */
export interface HarnessOptions {
  readonly idempotency?: IdempotencyOption
}

/** How one protocol says what the suite talks about. */
export interface Harness {
  readonly protocol: string
  start(): Promise<Peer>
  transport(origin: string, options?: HarnessOptions): Transport
  /** @param origin - for faces that take whole URLs. */
  api(client: Client<any>, origin?: string, options?: HarnessOptions): Api
  /** A write is several actions, of which a status does not say how many were done: under 429 and 503 it is sent once. */
  readonly writesOnce?: boolean
  /** Which optional members of {@link Api} there are. */
  readonly has: readonly ('write' | 'feed' | 'live')[]
  /** Every class of the mapping table that the protocol can express. */
  readonly refusals: readonly Refusal[]
  /** A dropped stream without cursors is opened again and goes on with what comes next; else it fails. */
  readonly carriesOn?: boolean
  /** Names the row that says "unavailable" without a wait. */
  readonly unavailable: string
  /** What a malformed answer is. */
  readonly garbled: { readonly code: Code; readonly isRetryable?: boolean } | undefined
  /** Where a call stands while the server says nothing. @defaultValue 'headers' */
  readonly waitingPhase?: Phase
  /** Time that a connection is kept for the next user after the last one has left; ms. @defaultValue 0 */
  readonly graceMs?: number
  /** There is no unary call: even `read` is a stream, of which one message is taken. */
  readonly isStreamOnly?: boolean
  /** Calls share a connection, and what breaks it breaks them all. */
  readonly isMultiplexed?: boolean
  /** Deeds that the protocol cannot express. */
  readonly cannot?: readonly Deed['do'][]
  /** The scheme of a server that accepts a connection and never speaks: TLS, so that connecting does not end. */
  readonly muteScheme?: 'http' | 'https'
  /** A face that answers with Responses: its calls reject with the Response itself where that is no success. */
  readonly isFace?: boolean
  /** The platform's fetch: it keeps idle connections for itself, and does not tell when it has connected. */
  readonly isFetch?: boolean
  /** Credentials travel with every request, so that a refused one is sent again with the new one. @defaultValue true */
  readonly hasTokenPerRequest?: boolean
}
