import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { StreamReply } from '../../src/core/call/reply.ts'
import type { ConnectAttempt, ConnectStream } from './attempt.ts'
import { GrpcStream, type GrpcStreamTimes } from './stream.ts'

/**
 * Opens a stream of a Connect transport and pumps it; a full queue holds the pump, and so the wire.
 *
 * @param onOver - closes what is sent; called when the stream is over for any reason.
 */
export function openConnectStream(
  call: Call,
  attempt: ConnectAttempt,
  messages: AsyncIterable<unknown>,
  times: GrpcStreamTimes,
  onOver: (reason: unknown) => void = () => {},
): Promise<StreamReply> {
  const gate = new Gate()
  const stream = new GrpcStream(call, {
    ...times,
    onPause: () => gate.close(),
    onResume: () => gate.open(),
    onLeave(reason) {
      onOver(reason)
      attempt.close(reason)
      gate.open()
    },
  })
  void pump(attempt, messages, stream, gate).then(onOver)
  return stream.opened
}

/** Reads to the end; gives what the stream has failed with. */
async function pump(
  attempt: ConnectAttempt,
  messages: AsyncIterable<unknown>,
  stream: GrpcStream,
  gate: Gate,
): Promise<unknown> {
  let opened: ConnectStream | undefined
  try {
    opened = await attempt.stream(messages)
    stream.headed(opened)
    for await (const message of opened.messages) {
      stream.push(message, opened.nextSize?.())
      if (gate.isClosed) await gate.passed
    }
    stream.finish(opened.trailers())
    return undefined
  } catch (error) {
    const known = attempt.toError(error)
    stream.fail(known, opened?.trailers() ?? HeaderMap.empty)
    return known
  } finally {
    attempt.end()
  }
}

/** Holds the pump while the receive queue is full. */
class Gate {
  #passed: Promise<void> | undefined
  #open: (() => void) | undefined

  get isClosed(): boolean {
    return this.#passed !== undefined
  }

  get passed(): Promise<void> | undefined {
    return this.#passed
  }

  close(): void {
    this.#passed ??= new Promise((resolve) => {
      this.#open = resolve
    })
  }

  open(): void {
    this.#open?.()
    this.#passed = undefined
  }
}
