import type { Call } from '../../../src/core/call/call.ts'
import { HeaderMap } from '../../../src/core/call/header-map.ts'
import type { UnaryReply } from '../../../src/core/call/reply.ts'
import { CallError } from '../../../src/core/errors/error.ts'
import type { Failure } from '../../../src/core/errors/failure.ts'
import type { Connection } from '../link/connection.ts'
import type { LinkUser, Loss } from '../link/loss.ts'
import { lossFailure } from '../link/verdicts.ts'
import type { Awaiting, SessionWire } from '../wire.ts'
import type { Incoming, WireFrame } from '../wire-adapter.ts'

/** One request to be made over a session. */
export interface RequestSpec {
  readonly name: string
  readonly payload: unknown
}

/** What a request asks of its session. */
export interface RequestHost extends SessionWire {
  refuseCredential(wasOpen: boolean): boolean
}

/** One message that one reply belongs to, by its `ref`; it never sends twice, since only `retry` may. */
export class SocketRequest implements LinkUser, Awaiting {
  readonly isPatient = false
  readonly #call: Call
  readonly #spec: RequestSpec
  readonly #host: RequestHost
  readonly #ref: number
  #connection: Connection | undefined
  #isWritten = false
  #isOver = false
  #resolve: (reply: UnaryReply) => void = () => {}
  #reject: (error: unknown) => void = () => {}
  #offAbort: () => void = () => {}

  constructor(call: Call, spec: RequestSpec, host: RequestHost) {
    this.#call = call
    this.#spec = spec
    this.#host = host
    this.#ref = host.nextRef()
  }

  get credential() {
    return this.#call.credential
  }

  run(join: (request: SocketRequest) => void): Promise<UnaryReply> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      this.#call.scope.mark('connect', 'no')
      this.#offAbort = this.#call.scope.onAbort((reason) => this.#cancel(reason))
      if (!this.#isOver) join(this)
    })
  }

  onReady(connection: Connection): void {
    let frame: WireFrame
    try {
      frame = this.#encode()
    } catch (cause) {
      const message = 'the input cannot be written down as a frame: see cause; nothing was sent'
      this.#fail({ code: 'invalid_argument', message, phase: 'send', sent: 'no', cause })
      return
    }
    this.#connection = connection
    this.#host.expect(this.#ref, this)
    // Where it cannot be written, the loss of the socket is about to be told.
    this.#isWritten = connection.write(frame)
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
    if (failure.code === 'unauthenticated') this.#host.refuseCredential(false)
    this.#fail({ ...failure, phase: 'body', sent: 'yes' })
  }

  #encode(): WireFrame {
    const { isDeadlineSent, remainingMs, idempotencyKey, headers } = this.#call
    return this.#host.adapter.request({
      ref: this.#ref,
      name: this.#spec.name,
      payload: this.#spec.payload,
      key: idempotencyKey,
      timeoutMs: isDeadlineSent ? Math.max(1, Math.floor(remainingMs)) : undefined,
      headers,
    })
  }

  #cancel(reason: unknown): void {
    if (this.#isWritten) this.#connection?.write(this.#host.adapter.cancel(this.#ref))
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
    this.#host.forget(this.#ref)
    this.#host.leave(this)
  }
}
