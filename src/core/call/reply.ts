import type { Continuity } from '../stream/state.ts'
import type { HeaderMap } from './header-map.ts'

/** What came back of a call. */
export type Reply = UnaryReply | StreamReply

/** One message. */
export interface UnaryReply {
  readonly kind: 'unary'
  readonly message: unknown
  /** HTTP status; 200 where the protocol has none. */
  readonly status: number
  readonly headers: HeaderMap
  readonly trailers: HeaderMap
  /** Where it came from, after redirects and without a credential, where calls have URLs of their own. */
  readonly url?: string | undefined
  /** What stands beside the data of a GraphQL response. */
  readonly extensions?: Readonly<Record<string, unknown>> | undefined
  /** The operation that answered, where a call has several routes. */
  readonly operation?: string
  /** Set where the message is itself a body stream: the call lasts until this settles. */
  readonly finished?: Promise<void>
  /** Lets go of a reply that nobody will read. */
  readonly discard?: () => void
}

/** An open stream: headers or an acknowledgement have been seen. */
export interface StreamReply {
  readonly kind: 'stream'
  readonly messages: MessageSource
  readonly status: number
  readonly headers: HeaderMap
  readonly trailers: Promise<HeaderMap>
  /** What the server's cursors promise; read each time, since it may become known later. */
  readonly continuity: () => Continuity
  /** The operation that brings it, where a stream has several routes. */
  readonly operation?: string | undefined
  /** While it is exact, the transport itself drops repeats and shows gaps: nobody else needs to remember cursors. */
  readonly sifted?: { readonly isExact: boolean } | undefined
  /** It was opened again without its cursor, which the transport could not send: what lies between is unknown. */
  readonly isWithoutCursor?: boolean
  /** It was opened again without a cursor, from where the stream began, and nothing had come: nothing can be missing. */
  readonly isWhole?: boolean
}

/** One message of a stream inside, on its way to the facade. */
export interface Item {
  readonly message: unknown
  /** Where the stream can be opened again after this message; empty where the server took its cursor back. */
  readonly cursor?: string | undefined
  /** Bytes on the wire, where known: a bound on what is queued. */
  readonly size?: number | undefined
  /** Its text on the wire, or a fingerprint of it, by which repeats are told. @defaultValue the fingerprint of the message */
  readonly mark?: string | number | undefined
  /** The message is a {@link Gap}. */
  readonly isGap?: true
  /** It is no message of the server, and neither validated, converted nor counted. */
  readonly isFinal?: true
}

/** Changes, drops (undefined) or passes an item; synchronous, so that many taps cost little. What it throws fails the stream. */
export type Tap = (item: Item) => Item | undefined

/** How a source stands; a failure stands behind the messages that came before it. */
export type SourceEnd = { readonly kind: 'ended' } | { readonly kind: 'failed'; readonly error: unknown }

/** The reading side of a stream: in batches, iterated once, at the facade. */
export interface MessageSource {
  /** Everything that is queued; undefined when nothing is. */
  take(): Item[] | undefined
  /** Resolves when there is something to take or the source is finished; it may wake for nothing. */
  ready(): Promise<void>
  /** How it ended, once everything before has been taken. */
  readonly end: SourceEnd | undefined
  /** The last cursor that has come in, that of skipped messages too; empty where the server took it back. */
  readonly cursor: string | undefined
  /** Applied to what is queued and to all that follows, in order of registration. */
  tap(tap: Tap): void
  /** Tells when the producer ends or fails, at once, not only when the reader gets there. Any number may listen. */
  onSettled(listener: (end: SourceEnd) => void): void
  /** The reader leaves: closes the wire. */
  close(reason: unknown): void
}

/** Closes a reply that arrived after its call had ended. */
export function discardReply(reply: Reply): void {
  if (reply.kind === 'stream') reply.messages.close(undefined)
  else reply.discard?.()
}
