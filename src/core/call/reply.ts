import type { MessageSource } from '../stream/source.ts'
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
  /** The transport itself drops repeats and shows gaps: nobody else needs to remember cursors. Read for each batch. */
  readonly isSifted?: () => boolean
}

/** Closes a reply that arrived after its call had ended. */
export function discardReply(reply: Reply): void {
  if (reply.kind === 'stream') reply.messages.close(undefined)
  else reply.discard?.()
}
