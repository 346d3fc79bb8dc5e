import type { Call } from '../../../src/core/call/call.ts'
import { credentialOf } from '../../../src/core/call/credential.ts'
import { HeaderMap, withoutRemoved } from '../../../src/core/call/header-map.ts'
import type { UnaryReply } from '../../../src/core/call/reply.ts'
import { CallError } from '../../../src/core/errors/error.ts'
import type { Failure } from '../../../src/core/errors/failure.ts'
import type { Connection } from '../link/connection.ts'
import { type LinkUser, type Loss, lossFailure, noFrame, unwritable } from '../link/loss.ts'
import type { Incoming } from '../wire-adapter.ts'
import type { Awaiting, SocketSession } from './session.ts'

/** One request to be made over a session. */
export interface RequestSpec {
  readonly name: string
  readonly payload: unknown
}

/** One message that one reply belongs to, by its `ref`; it never sends twice, since only `retry` may. */
class SocketRequest implements LinkUser, Awaiting {
  readonly awaits = 'reply'
  readonly isPatient = false
  readonly #call: Call
  readonly #spec: RequestSpec
  readonly #session: SocketSession
  readonly #ref: number
  #connection: Connection | undefined
  #isWritten?: boolean
  #isOver?: boolean
  #resolve: (reply: UnaryReply) => void = () => {}
  #reject: (error: unknown) => void = () => {}
  #offAbort: () => void = () => {}

  constructor(call: Call, spec: RequestSpec, session: SocketSession) {
    this.#call = call
    this.#spec = spec
    this.#session = session
    this.#ref = session.nextRef()
  }

  get credential() {
    return credentialOf(this.#call)
  }

  run(): Promise<UnaryReply> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      this.#call.scope.mark('connect', 'no')
      this.#offAbort = this.#call.scope.onAbort((reason) => this.#cancel(reason))
      if (!this.#isOver) this.#session.join(this)
    })
  }

  onReady(connection: Connection): void {
    if (this.#call.scope.endIfLate()) return
    const { isDeadlineSent, remainingMs, idempotencyKey: key } = this.#call
    const headers = withoutRemoved({ ...this.#call.headers })
    const { name, payload } = this.#spec
    const timeoutMs = isDeadlineSent ? Math.max(1, Math.floor(remainingMs)) : undefined
    this.#connection = connection
    this.#session.expect(this.#ref, this)
    try {
      const frame = connection.adapter.request({ ref: this.#ref, name, payload, key, timeoutMs, headers })
      if (frame === undefined) throw noFrame(frame)
      // Where it cannot be written, the loss of the socket is about to be told.
      this.#isWritten = connection.write(frame)
    } catch (cause) {
      this.#fail(unwritable('the input', cause))
    }
    if (this.#isWritten) this.#call.scope.mark('headers', 'maybe')
  }

  onState(): void {}

  onLoss(loss: Loss): void {
    const failure = lossFailure(loss, this.#isWritten ? 'headers' : 'connect', this.#isWritten ? 'maybe' : 'no', false)
    // It may have been done: another credential must not send it again.
    const isRisky = this.#isWritten && failure.code === 'unauthenticated'
    this.#fail(isRisky ? { ...failure, code: 'unavailable', isRetryable: true } : failure)
  }

  onAck({ message }: Extract<Incoming, { kind: 'ack' }>): void {
    this.#call.scope.mark('body', 'yes')
    this.#leave()
    this.#resolve({ kind: 'unary', message, status: 200, headers: HeaderMap.empty, trailers: HeaderMap.empty })
  }

  onError(failure: Failure): void {
    if (failure.code === 'unauthenticated') this.#session.refuseCredential(false)
    this.#fail({ ...failure, phase: 'body', sent: 'yes' })
  }

  #cancel(reason: unknown): void {
    if (this.#isWritten) this.#connection?.say('cancel', (adapter) => adapter.cancel(this.#ref))
    this.#leave()
    this.#reject(reason)
  }

  #fail(failure: Failure): void {
    this.#leave()
    this.#reject(new CallError(failure, this.#call))
  }

  #leave(): void {
    this.#isOver = true
    this.#offAbort()
    this.#session.forget(this.#ref)
    this.#session.leave(this)
  }
}

/** Sends one message and resolves with the reply that carries its `ref`. */
export function sendRequest(call: Call, spec: RequestSpec, session: SocketSession): Promise<UnaryReply> {
  return new SocketRequest(call, spec, session).run()
}
