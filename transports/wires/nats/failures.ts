import { CallError } from '../../../src/core/errors/error.ts'
import type { Failure } from '../../../src/core/errors/failure.ts'
import { meaningOfStatus } from '../../socket/close-codes.ts'
import type { CloseVerdict } from '../../socket/wire-adapter.ts'
import type { NatsMessage } from './reader.ts'

/** What a reply says of a failure: nobody listens, or a service of NATS has failed. */
export function failureIn(status: number | undefined, headers: NatsMessage['headers']): Failure | undefined {
  if (status === 503) {
    const message = 'nobody listens to this subject: start the service, or check the name of the request'
    return { code: 'unavailable', message, status, isRetryable: true, isUnexecuted: true }
  }
  const { 'nats-service-error': text, 'nats-service-error-code': code } = headers ?? {}
  if (text === undefined && code === undefined) return undefined
  const said = Number(code) >= 400 ? meaningOfStatus(Number(code)) : { code: 'unknown' as const }
  const message = 'the service failed'
  return { ...said, message, reason: code, serverMessage: text }
}

/** A refusal that the connection outlives. */
export function refusalOf(serverMessage: string) {
  const pattern = /^(?:permissions violation for (\w+)(?: to "([^"]*)")?|maximum subscriptions)/i
  const [isOne, what, named] = pattern.exec(serverMessage) ?? []
  if (isOne === undefined) return undefined
  const failure: Failure = {
    code: what ? 'permission_denied' : 'resource_exhausted',
    message: what ? `the server does not allow this ${what.toLowerCase()}` : 'the server takes no more subscriptions',
    serverMessage,
    isRetryable: false,
  }
  return { failure, isOfPublish: /publish/i.test(isOne), named }
}

/** What an error means that ends the connection. */
export function verdictOf(serverMessage: string): CloseVerdict {
  const isOfCredential = /^(?:authorization violation|authentication|user authentication|account authentication)/i
  if (isOfCredential.test(serverMessage)) {
    const message = 'the server refused the credential'
    return { action: 'refresh-auth', failure: { code: 'unauthenticated', message, serverMessage } }
  }
  if (/^(?:maximum payload|maximum control line|unknown protocol|invalid|parser error)/i.test(serverMessage)) {
    const message = 'the server could not take what was sent'
    return { action: 'fatal', failure: { code: 'invalid_argument', message, serverMessage } }
  }
  return away('the server ended the connection', serverMessage)
}

/** The server goes, or has gone: another connection. */
export function away(message: string, serverMessage?: string): CloseVerdict {
  const failure: Failure = { code: 'unavailable', message, isRetryable: true, serverMessage }
  return { action: 'retry', failure }
}

/** Larger than what the server said that it takes. */
export function tooLarge(limit: number): CallError {
  const message = `the message is larger than the ${limit} bytes that the server takes; it was not sent`
  return new CallError({ code: 'resource_exhausted', message, phase: 'send', sent: 'no' })
}
