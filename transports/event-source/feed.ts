import type { Observer } from '../../src/core/call/call-types.ts'
import type { StreamReply } from '../../src/core/call/reply.ts'
import { CallError, isAnyCallError } from '../../src/core/errors/error.ts'
import type { Gap } from '../../src/core/stream/gap.ts'
import type { StreamState } from '../../src/core/stream/state.ts'
import type { PageLife } from '../../src/core/time/page-life.ts'
import { type EventReader, SseExchange } from '../http/event-stream/event-exchange.ts'
import type { EventSourceMessage } from './types.ts'

/** What an event source hears of its stream, in order. */
export interface FeedOwner {
  opened(): void
  message(event: MessageEvent): void
  /** The stream is `back` soon, `over`, or goes on though something of it is lost. */
  failed(error: CallError, then: 'back' | 'over' | 'on'): void
}

/** A connection has opened, or failed, behind all that it has brought. */
class Mark {
  readonly isOpen: boolean

  constructor(isOpen: boolean) {
    this.isOpen = isOpen
  }
}

/**
 * Reads one event stream over all its connections: makes the platform's events while they are parsed, and brings the
 * states of the stream in line with them, since those are told at once, and events when they are read.
 */
export class EventFeed implements EventReader, Observer<unknown> {
  readonly #owner: FeedOwner
  /** As far as it has been parsed. */
  #lastEventId: string
  /** Of the connection that is parsed, behind all redirects. */
  #origin = ''
  /** A connection has been opened, and its end is still to be read. */
  #isBehind = false
  /** Why the stream waits, where that is still to be told. */
  #reason: CallError | undefined

  constructor(owner: FeedOwner, lastEventId: string) {
    this.#owner = owner
    this.#lastEventId = lastEventId
  }

  /** Messages that mark the beginning of a connection, and its failure behind all that it has brought. */
  readonly marks = {
    opened: (url: string): Mark => {
      this.#origin = URL.canParse(url) ? new URL(url).origin : ''
      this.#isBehind = true
      return new Mark(true)
    },
    dropped: (): Mark => new Mark(false),
  }

  read(type: string, data: string): MessageEvent {
    return new MessageEvent(type, { data, origin: this.#origin, lastEventId: this.#lastEventId })
  }

  moved(cursor: string): void {
    this.#lastEventId = cursor
  }

  next(message: unknown): void {
    if (!(message instanceof Mark)) this.#owner.message(this.#eventOf(message as EventSourceMessage))
    else if (message.isOpen) this.#owner.opened()
    else {
      this.#isBehind = false
      this.#interrupted(this.#reason)
    }
  }

  /** Another operation, which continues the stream, has messages of its own make. */
  #eventOf(message: EventSourceMessage): MessageEvent {
    if (message instanceof MessageEvent) return message
    const { type, data, id } = message
    if (id !== undefined) this.#lastEventId = id
    return this.read(type, typeof data === 'string' ? data : (JSON.stringify(data) ?? ''))
  }

  state(state: StreamState, reason?: CallError): void {
    if (state !== 'waiting' && state !== 'suspended') {
      if (state === 'connecting') this.#reason = undefined
    } else if (this.#reason === undefined) {
      this.#reason = reason
      if (!this.#isBehind) this.#interrupted(reason)
    }
  }

  gap({ reason }: Gap): void {
    if (reason === 'no_cursor') return
    const message = `events were lost (${reason}): load the present state`
    this.#owner.failed(new CallError({ code: 'data_loss', message, phase: 'stream', sent: 'yes' }), 'on')
  }

  error(error: unknown): void {
    this.#owner.failed(toCallError(error), 'over')
  }

  end(): void {
    const message = 'the server ended the event stream for good'
    this.#owner.failed(new CallError({ code: 'failed_precondition', message, phase: 'stream', sent: 'yes' }), 'over')
  }

  #interrupted(reason: CallError | undefined): void {
    if (reason) this.#owner.failed(reason, 'back')
  }
}

/**
 * What reads the connections of an event source: it is told when the last event id moves, and, where it `isMarked`, each
 * connection's beginning and failure stand among its messages.
 */
export function feeding(feed: EventFeed, isMarked: boolean): typeof SseExchange {
  return class extends SseExchange {
    /** Every event is wanted, a repeat too. */
    get sifted(): StreamReply['sifted'] {
      return isMarked ? { isExact: true } : undefined
    }

    override onEvent(type: string, data: string, id: string | undefined, cursor: string | undefined): void {
      if (cursor !== undefined) feed.moved(cursor)
      super.onEvent(type, data, id, cursor)
    }

    override onCursor(cursor: string): void {
      feed.moved(cursor)
      super.onCursor(cursor)
    }

    protected override open(page?: PageLife): void {
      super.open(page)
      const { status, url } = this.head
      if (isMarked && status !== 204) this.source.push({ message: feed.marks.opened(url), isFinal: true })
    }

    protected override over(error: unknown): void {
      if (error !== undefined && isMarked) this.source.push({ message: feed.marks.dropped(), isFinal: true })
      super.over(error)
    }
  }
}

/** Whatever keeps a stream from being opened, an abort of the client too. */
export function toCallError(cause: unknown): CallError {
  if (isAnyCallError(cause)) return cause
  return new CallError({ code: 'internal', message: 'the event stream failed: see cause', cause })
}
