import {
  type Call,
  CallError,
  type Continuity,
  type Failure,
  HeaderMap,
  type Reply,
  Source,
  type Transport,
} from 'polywire'

/** One attempt as the test sees it: what it was opened with, and the source that the test pushes to. */
export interface Attempt {
  readonly call: Call
  readonly cursor: string | undefined
  readonly source: Source
  /** Set once the client has closed the wire. */
  closed: boolean
}

/** How an opening goes: `open` (with a source), or what it rejects with. */
export type Opening = 'open' | 'hang' | Error

/** A transport whose streams a test opens, feeds and drops by hand. */
export class ScriptedStreams {
  readonly attempts: Attempt[] = []
  /** How the next openings go, in order; then they all open. */
  readonly script: Opening[] = []
  continuity: Continuity = 'exact'
  /** Abort listeners that attempts have not removed. */
  listeners = 0

  readonly transport: Transport<'memory'> = {
    protocol: 'memory',
    origin: 'memory:',
    send: (call) => this.#send(call),
    close: async () => {},
  }

  get last(): Attempt {
    return this.attempts.at(-1) as Attempt
  }

  get cursors(): (string | undefined)[] {
    return this.attempts.map(({ cursor }) => cursor)
  }

  /** Drops the last attempt as a broken connection would. */
  drop(failure: Partial<Failure> = {}): void {
    this.last.source.fail(broken(failure, this.last.call))
  }

  /** Pushes messages whose cursors are themselves. */
  push(...messages: (string | number)[]): void {
    this.last.source.pushAll(messages.map((message) => ({ message, cursor: String(message) })))
  }

  async #send(call: Call): Promise<Reply> {
    const opening = this.script.shift() ?? 'open'
    const attempt: Attempt = {
      call,
      cursor: call.cursor,
      source: new Source({ onClose: () => leave() }),
      closed: false,
    }
    this.attempts.push(attempt)
    this.listeners++
    let isOver = false
    let off = () => {}
    const end = () => {
      isOver = true
      this.listeners--
      off()
    }
    const leave = () => {
      if (isOver) return
      attempt.closed = true
      end()
    }
    off = call.scope.onAbort(leave)
    if (opening === 'hang') return new Promise(() => {})
    if (opening !== 'open') {
      end()
      throw opening
    }
    const fail = attempt.source.fail.bind(attempt.source)
    attempt.source.fail = (error) => {
      if (!isOver) end()
      fail(error)
    }
    return {
      kind: 'stream',
      messages: attempt.source,
      status: 200,
      headers: HeaderMap.empty,
      trailers: Promise.resolve(HeaderMap.empty),
      continuity: () => this.continuity,
    }
  }
}

/** A connection that broke. */
export function broken(failure: Partial<Failure> = {}, call?: Call): CallError {
  return new CallError(
    { code: 'unavailable', message: 'dropped', phase: 'stream', sent: 'yes', isRetryable: true, ...failure },
    call,
  )
}
