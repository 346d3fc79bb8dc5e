import type { Credential } from '../../src/core/call/auth.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { guard, isThenable } from '../../src/core/guard.ts'
import { isRecord } from '../../src/core/tag.ts'
import { decodeUtf8 } from '../http/collect.ts'
import { classifyClose } from '../socket/close-codes.ts'
import type { SocketEnd } from '../socket/driver/driver.ts'
import type {
  CloseVerdict,
  Hello,
  Incoming,
  Request,
  Subscribe,
  Unsubscribe,
  WireAdapter,
  WireFrame,
} from '../socket/wire-adapter.ts'
import { graphqlFailure } from './errors.ts'
import type { JsonWays } from './feature.ts'
import { toGraphQLResult } from './response.ts'

type Params = Readonly<Record<string, unknown>> | undefined
/** What `connection_init` carries: as it is, or made of the credential; by default the credential's headers. */
export type ConnectionParams =
  | Readonly<Record<string, unknown>>
  | ((credential: Credential | undefined) => Params | Promise<Params>)

/** Told the payload of `connection_ack`. */
export type ConnectionAck = (payload: unknown) => void

/** A subscription's or request's payload: the JSON of query, operationName, variables and extensions, written once. */
export interface SubscriptionPayload {
  readonly json: string
}

/** How servers refuse `connection_init` beside 4401 and 4403: gqlgen by 1000, async-graphql by 1002, others by 1008. */
const initRefusals: readonly number[] = [1000, 1002, 1008]

const refusedInit = 'the server refused the connection_init'

/**
 * Close codes where graphql-transport-ws has a meaning of its own; the others mean what they always mean.
 *
 * 4403 is what a server says that refuses `connection_init`: like 4401 it gets another credential, once. 4429 is a
 * second `connection_init`, not a rate limit.
 */
const codes: Readonly<Record<number, readonly [CloseVerdict['action'], Failure['code'], string]>> = {
  4004: ['fatal', 'internal', 'the server saw a bad response; please report it'],
  4005: ['fatal', 'internal', 'the client failed; please report it'],
  4400: ['fatal', 'invalid_argument', 'the server could not read a frame; please report it'],
  4401: ['refresh-auth', 'unauthenticated', 'the server refused the credential'],
  4403: ['refresh-auth', 'unauthenticated', refusedInit],
  4409: ['fatal', 'already_exists', 'the operation id was in use; please report it'],
  4429: ['fatal', 'failed_precondition', 'the server saw a second connection_init; please report it'],
  4504: ['retry', 'unavailable', 'connection_ack came too late'],
}

/** In front of the ids of requests: those of subscriptions are bare numbers. */
const requestMark = 'q'

/**
 * The wire adapter of `graphql-transport-ws`: subscriptions, queries and mutations over one socket, each with an id of its own.
 *
 * @param keepAliveMs - servers may hang up on a client that only listens (async-graphql: `keepalive_timeout`).
 * Source: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
 */
export function graphqlTransportWs(
  params: ConnectionParams = fromCredential,
  onAck?: ConnectionAck,
  json?: JsonWays,
  keepAliveMs?: number,
): WireAdapter {
  return {
    name: 'graphql-transport-ws',
    subprotocols: ['graphql-transport-ws'],
    traits: {
      subscribed: false,
      acks: false,
      isHelloAwaited: true,
      helloTimeoutCode: 4504,
      isShared: false,
      keepAliveMs,
    },
    hello({ credential }: Hello) {
      if (typeof params !== 'function') return initOf({ ...fromCredential(credential), ...params })
      const made = guard('connectionParams()', () => params(credential), undefined, unmade)
      return isThenable(made) ? Promise.resolve(made).then(initOf) : initOf(made)
    },
    subscribe: ({ topic, payload }: Subscribe) =>
      `{"id":${JSON.stringify(topic)},"type":"subscribe","payload":${(payload as SubscriptionPayload).json}}`,
    unsubscribe: ({ topic }: Unsubscribe) => JSON.stringify({ id: topic, type: 'complete' }),
    publish: unsupported,
    request: ({ ref, payload }: Request) =>
      `{"id":"${requestMark}${ref}","type":"subscribe","payload":${(payload as SubscriptionPayload).json}}`,
    cancel: (ref) => `{"id":"${requestMark}${ref}","type":"complete"}`,
    ping: () => '{"type":"ping"}',
    pong: (payload) => JSON.stringify({ type: 'pong', payload }),
    decode: (frame) => decode(frame, onAck, json),
    classifyClose: (end: SocketEnd) => verdictOf(end),
  }
}

const unmade = { message: 'connectionParams() failed: see cause; nothing was sent' }

function initOf(payload: Params): string {
  return guard('connectionParams', () => JSON.stringify({ type: 'connection_init', payload }), undefined, {
    code: 'invalid_argument',
    message: 'connectionParams give what JSON cannot write: see cause; nothing was sent',
  })
}

/** Header names are what servers look for among the params, too. */
function fromCredential(credential: Credential | undefined): Readonly<Record<string, string>> | undefined {
  return credential?.headers
}

function unsupported(): never {
  throw new TypeError('graphql-transport-ws carries no messages of the client: subscriptions only')
}

function verdictOf(end: SocketEnd): CloseVerdict {
  const isInitRefused = end.phase === 'hello' && initRefusals.includes(end.code)
  const row = isInitRefused ? codes[4403] : end.status === undefined ? codes[end.code] : undefined
  if (!row) return classifyClose(end)
  const [action, code, what] = row
  const failure = {
    code,
    message: `close code ${end.code}${isInitRefused ? ' before connection_ack' : ''}: ${what}`,
    isRetryable: action === 'retry',
    status: end.code,
    ...(end.reason && { serverMessage: end.reason }),
  }
  return { action, failure }
}

/** A frame that is none of the protocol's closes the socket with 4400, as the protocol demands of both sides. */
function decode(frame: WireFrame, onAck: ConnectionAck | undefined, json: JsonWays | undefined): Incoming | undefined {
  const text = typeof frame === 'string' ? frame : decodeUtf8(frame)
  let message: unknown
  try {
    message = JSON.parse(text)
  } catch (cause) {
    return malformed(4400, 'a frame of the server is no JSON: it does not speak graphql-transport-ws', cause)
  }
  if (!isRecord(message) || typeof message.type !== 'string')
    return malformed(4400, 'a frame of the server is no message of graphql-transport-ws: it has no type')
  const { id, type } = message
  const payload = json && type === 'next' ? ownPayload(message.payload, json.read(text, undefined)) : message.payload
  const isOfOperation = type === 'next' || type === 'error' || type === 'complete'
  if (isOfOperation && typeof id !== 'string')
    return malformed(4004, `a message '${type}' of the server has no id: nobody can take it`)
  if (type === 'connection_ack') onAck?.(payload)
  const isRequest = isOfOperation && (id as string).startsWith(requestMark)
  return isRequest
    ? replyOf(type, Number((id as string).slice(requestMark.length)), payload)
    : meaningOf(type, id as string, payload)
}

/** The data as a `jsonCodec()` reads it; codes and waits stay numbers. */
function ownPayload(payload: unknown, read: { readonly value: unknown } | undefined): unknown {
  const own = isRecord(read?.value) ? read.value.payload : payload
  if (!isRecord(own) || !isRecord(payload)) return own
  const { errors, extensions } = payload
  return { ...own, ...(errors !== undefined && { errors }), ...(extensions !== undefined && { extensions }) }
}

/** What comes for a query or mutation: errors are a result, too, which the transport judges as it does over HTTP. */
function replyOf(type: string, ref: number, payload: unknown): Incoming {
  if (type === 'complete') return { kind: 'end', ref }
  return { kind: 'ack', ref, message: type === 'error' ? { errors: payload } : payload }
}

function meaningOf(type: string, id: string, payload: unknown): Incoming | undefined {
  switch (type) {
    case 'next':
      return nextOf(id, payload)
    case 'complete':
      return { kind: 'end', topic: id }
    case 'error':
      return { kind: 'error', topic: id, failure: errorOf(payload) }
    case 'ping':
      return { kind: 'ping', payload }
    case 'pong':
      return { kind: 'pong' }
    case 'connection_ack':
      return { kind: 'ready' }
    case 'connection_error':
      // Hasura, outside of the sub-protocol: the init was refused.
      return {
        kind: 'goodbye',
        verdict: {
          action: 'refresh-auth',
          failure: { ...errorOf(payload), code: 'unauthenticated', message: refusedInit, isRetryable: false },
        },
      }
    default:
      return undefined
  }
}

/** A result, which the reader judges; but a refused credential is no sign of a server that is well. */
function nextOf(topic: string, payload: unknown): Incoming {
  const isFailed = isRecord(payload) && payload.errors !== undefined && !payload.data
  const failure = isFailed ? errorOf(payload.errors) : undefined
  if (failure?.code === 'unauthenticated') return { kind: 'error', topic, failure }
  return { kind: 'data', topic, message: payload }
}

function malformed(closeCode: number, message: string, cause?: unknown): Incoming {
  return { kind: 'goodbye', verdict: { action: 'fatal', failure: { code: 'internal', message, cause }, closeCode } }
}

/** The payload of `error`: what refused or ended a subscription, as a list of GraphQL errors. */
function errorOf(payload: unknown): Failure {
  const result = toGraphQLResult({ errors: payload }) ?? { errors: [{}] }
  const document = { kind: 'subscription', rootFields: 1 } as const
  const answer = { result, document, policy: 'none', status: 200, headers: HeaderMap.empty, wallNow: 0 } as const
  const { status: _status, headers: _headers, ...failure } = graphqlFailure(answer) as Failure
  return { ...failure, phase: 'stream' }
}
