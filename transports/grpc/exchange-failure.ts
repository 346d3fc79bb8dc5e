import type { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Failure, Phase } from '../../src/core/errors/failure.ts'
import type { HttpFault } from '../http/contract.ts'
import { faultToFailure } from '../http/fault.ts'
import { httpStatusFailure, readGrpcStatus, statusFailure } from './errors.ts'
import type { FrameFault } from './frames.ts'

/** What breaks an answer that came whole as HTTP. */
export type Breach = FrameFault | 'content_type' | 'format' | 'compressed' | 'extra' | 'several'

/** What is known of an answer. */
export interface ExchangeFacts {
  /** HTTP status; 0 before there is one. */
  readonly status: number
  readonly headers: HeaderMap
  /** Of the body; undefined before they have come. */
  readonly trailers: HeaderMap | undefined
  /** How the connection broke. */
  readonly fault: HttpFault | undefined
  readonly breach: Breach | undefined
  readonly messages: number
  readonly hasBody: boolean
  /** Nothing more will come. */
  readonly isSettled: boolean
  readonly isStream: boolean
  readonly isCrossOrigin: boolean
  /** ms since 1970. */
  readonly wallNow: number
}

/** What an answer means; undefined for success, and for one that has not ended yet without a failure. Pure. */
export function exchangeFailure(facts: ExchangeFacts): Failure | undefined {
  const { trailers, headers, fault, breach } = facts
  const status = readGrpcStatus(trailers ?? headers)
  if (status && status.status !== 0) {
    return statusFailure(status, { phase: phaseOf(facts), headers, trailers, wallNow: facts.wallNow })
  }
  if (!facts.isSettled) return undefined
  // With its trailers an answer is whole: a connection that breaks behind them takes nothing away.
  if (fault && !trailers) return faultFailure(fault, facts)
  if (facts.status < 200 || facts.status > 299) return httpStatusFailure(facts.status, facts)
  if (breach) return brokenAnswer(facts, ...breaches[breach])
  if (!status) return silentAnswer(facts)
  const isEnough = facts.isStream || facts.messages === 1
  return isEnough ? undefined : brokenAnswer(facts, 'unimplemented', 'the server gave no message for a unary call')
}

/** An answer that HTTP delivered and gRPC cannot take. */
export function brokenAnswer(facts: ExchangeFacts, code: Failure['code'], message: string): Failure {
  const { status, headers, trailers } = facts
  return { code, message, phase: phaseOf(facts), sent: 'yes', status, headers, trailers }
}

function faultFailure(fault: HttpFault, { isStream, status, headers }: ExchangeFacts): Failure {
  const failure = faultToFailure(fault, isStream)
  const isOpenStream = isStream && fault.phase === 'body'
  return { ...failure, ...(isOpenStream && { phase: 'stream' as const }), ...(status > 0 && { headers }) }
}

/** Neither trailers nor a status: the answer was cut, hidden by the browser, or is none of a gRPC server. */
function silentAnswer(facts: ExchangeFacts): Failure {
  if (facts.trailers) return brokenAnswer(facts, 'unknown', 'the trailers hold no grpc-status: a proxy dropped it')
  if (!facts.hasBody) return brokenAnswer(facts, 'unknown', facts.isCrossOrigin ? hiddenStatus : noStatus)
  const message = 'the answer ended before its trailers'
  return { ...brokenAnswer(facts, facts.isStream ? 'unavailable' : 'data_loss', message), isRetryable: true }
}

function phaseOf({ hasBody, isStream }: ExchangeFacts): Phase {
  if (!hasBody) return 'headers'
  return isStream ? 'stream' : 'body'
}

const noStatus =
  'HTTP 200 with neither message nor grpc-status: is a gRPC-Web server, or a proxy that translates, behind baseUrl?'
const hiddenStatus =
  'no grpc-status is visible: the browser hides it unless the server sends Access-Control-Expose-Headers: grpc-status, grpc-message, grpc-status-details-bin'

const breaches: Readonly<Record<Breach, readonly [Failure['code'], string]>> = {
  content_type: [
    'unknown',
    'the answer is no gRPC-Web by its content type: is baseUrl right, and does the server or a proxy translate?',
  ],
  format: ['internal', 'the answer is in another format than was asked for: see useBinaryFormat'],
  flags: ['internal', 'the body is not framed as gRPC-Web'],
  compressed: ['internal', 'a message is compressed, which gRPC-Web does not allow: compress the HTTP body instead'],
  extra: ['internal', 'the server sent something behind its trailers'],
  several: ['unimplemented', 'the server gave several messages for a unary call'],
  too_large: ['resource_exhausted', 'a message is longer than maxMessageBytes: raise it, or ask for less'],
}
