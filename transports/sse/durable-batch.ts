import type { Call } from '../../src/core/call/call.ts'
import type { HeaderMap } from '../../src/core/call/header-map.ts'
import type { StreamReply } from '../../src/core/call/reply.ts'
import { CallError } from '../../src/core/errors/error.ts'
import { Source } from '../../src/core/stream/source.ts'
import { decodeText, essenceOf, isJson } from '../http/codecs.ts'
import { requestBuffered } from '../http/collect.ts'
import type { HttpEngine, HttpRequest } from '../http/contract.ts'
import { statusFailure } from '../http/event-stream/errors.ts'
import type { EventReader } from '../http/event-stream/event-exchange.ts'
import { toCallError } from '../http/fault.ts'

/** Of one answer; bytes. */
const maxBodyBytes = 67_108_864

/** What one answer, or one event, of a durable stream says. */
export interface DurableBatch {
  readonly messages: readonly unknown[]
  /** Of its text. */
  readonly size: number
  /** Where the stream goes on behind the messages; undefined where another batch tells it. */
  readonly next: string | undefined
  /** To be sent with the next request, so that no cache answers twice. */
  readonly cursor: string | undefined
  readonly isUpToDate: boolean
  /** Nothing comes any more. */
  readonly isClosed: boolean
}

/** Reads the events `data` and `control`. */
export const durableReader: EventReader = {
  read(type, text): DurableBatch | undefined {
    if (type === 'data') return batchOf(JSON.parse(text), text.length, {})
    if (type !== 'control') return undefined
    const { streamNextOffset, streamCursor, upToDate, streamClosed } = JSON.parse(text) ?? {}
    return batchOf([], text.length, {
      next: placeOf(streamNextOffset),
      cursor: placeOf(streamCursor),
      isUpToDate: upToDate === true,
      isClosed: streamClosed === true,
    })
  },
}

/** A text, by the protocol; a server that counts may say a number. */
function placeOf(place: unknown): string | undefined {
  return typeof place === 'string' || typeof place === 'number' ? String(place) : undefined
}

/** Asks for what is there, or for what comes next (long poll); the reply is a stream of one batch. */
export async function openBatch(engine: HttpEngine, request: HttpRequest, call: Call): Promise<StreamReply> {
  try {
    const response = await requestBuffered(engine, request, call.scope, { maxBodyBytes })
    const { status, headers, trailers, body } = response
    if (status !== 200 && status !== 204) throw new CallError(statusFailure(response, body, call), call)
    const messages = status === 204 || body.byteLength === 0 ? [] : parse(body, headers, call)
    const source = new Source({ call })
    const tail = {
      next: headers.last('stream-next-offset') ?? undefined,
      cursor: headers.last('stream-cursor') ?? undefined,
      isUpToDate: headers.last('stream-up-to-date') === 'true',
      isClosed: headers.last('stream-closed') === 'true',
    }
    source.push({ message: batchOf(messages, body.byteLength, tail) })
    source.finish()
    call.scope.mark('stream', 'yes')
    return {
      kind: 'stream',
      messages: source,
      status,
      headers,
      trailers: Promise.resolve(trailers),
      continuity: () => 'exact',
    }
  } catch (error) {
    throw toCallError(error, call, true)
  }
}

function batchOf(
  messages: unknown,
  size: number,
  { next, cursor, isUpToDate = false, isClosed = false }: Partial<DurableBatch>,
): DurableBatch {
  const list = Array.isArray(messages) ? messages : [messages]
  return { messages: list, size, next, cursor, isUpToDate: isUpToDate || isClosed, isClosed }
}

function parse(body: Uint8Array, headers: HeaderMap, call: Call): unknown {
  if (!isJson(essenceOf(headers.last('content-type')))) throw new CallError(noJson(headers), call)
  try {
    return JSON.parse(decodeText(body))
  } catch (cause) {
    const message = 'the server answered with a body that is no JSON: see cause'
    throw new CallError({ code: 'data_loss', message, phase: 'body', sent: 'yes', headers, cause }, call)
  }
}

/** Of other streams only bytes are kept, and not where a message ends. */
export function noJson(headers: HeaderMap) {
  const message = 'the durable stream is not of application/json: only such keep the bounds of messages'
  return { code: 'failed_precondition', message, phase: 'headers', sent: 'yes', headers } as const
}
