import type { HeaderMap } from '../../../src/core/call/header-map.ts'
import { isThenable } from '../../../src/core/guard.ts'
import type { HttpControl, HttpEngine, HttpFault, HttpHead, HttpRequest, HttpScope, HttpSink } from '../contract.ts'
import { callOver, faultAt } from '../fault.ts'
import { answered, type Redirected, stepOf, unsent } from '../progress.ts'
import { followRedirect, type Hop, isRedirect, isReplayable, refuse } from '../redirect.ts'
import { drainedBytes } from '../responder.ts'
import {
  judge,
  judgingFault,
  type RequestSigner,
  type SignableRequest,
  signatureOf,
  signingFault,
  toSignable,
} from './signer.ts'

/** What all hops of one exchange share. */
interface Parties {
  readonly engine: HttpEngine
  readonly signer: RequestSigner
  readonly sink: HttpSink
  readonly scope: HttpScope
}

/** One send of it. */
interface Sending {
  /** Not signed yet. */
  readonly request: HttpRequest
  readonly redirected?: Redirected | undefined
  /** The signer has had it sent once more. */
  readonly isRepeated?: boolean
}

/**
 * One send of a signed request, between the protocol and the engine. A redirect and a repetition make another one, with a
 * signature of its own; the redirect's target is signed only where it is of the same origin.
 */
export class SignedExchange implements HttpSink {
  readonly #parties: Parties
  readonly #sending: Sending
  readonly #signable: SignableRequest
  #state: 'new' | 'signing' | 'sent' | 'judging' | 'passing' | 'dropping' | 'over' = 'new'
  #control: HttpControl | undefined
  #dropped = 0
  /** What came while the signer thought about the head. */
  readonly #late: ((sink: HttpSink) => void)[] = []

  constructor(parties: Parties, sending: Sending) {
    this.#parties = parties
    this.#sending = sending
    this.#signable = toSignable(sending.request)
  }

  start(): void {
    const { scope, sink, signer, engine } = this.#parties
    const { redirected } = this.#sending
    if (scope.isOver) {
      sink.onError(callOver)
      return
    }
    // A hop at another origin is sent nothing of this credential.
    if (redirected?.isForeign) {
      this.#send(engine, {})
      return
    }
    this.#state = 'signing'
    const offAbort = scope.onAbort((reason) => {
      if (this.#state !== 'signing') return
      this.#state = 'over'
      sink.onAbort?.(reason)
    })
    signatureOf(signer, this.#signable)
      .then(
        (headers) => this.#state === 'signing' && this.#send(engine, headers),
        (cause) => this.#state === 'signing' && this.#fail(faultAt(stepOf(unsent, redirected), signingFault(cause))),
      )
      .finally(offAbort)
  }

  onInfo(status: number, headers: HeaderMap): void {
    if (this.#state === 'sent') this.#parties.sink.onInfo?.(status, headers)
  }

  onHead(head: HttpHead, control: HttpControl): void {
    this.#control = control
    const hop = this.#hopOf(head)
    if (hop && 'what' in hop) this.#refuse(hop)
    else this.#judge(head, control, hop)
  }

  onData(bytes: Uint8Array): void {
    if (this.#state === 'dropping') {
      this.#dropped += bytes.byteLength
      if (this.#dropped > drainedBytes) this.#control?.cancel()
    } else this.#pass((sink) => sink.onData(bytes))
  }

  onEnd(trailers: HeaderMap): void {
    this.#pass((sink) => sink.onEnd(trailers))
  }

  onError(fault: HttpFault): void {
    const { redirected } = this.#sending
    this.#pass((sink) => sink.onError(redirected ? faultAt(stepOf(answered, redirected), fault) : fault))
  }

  onAbort(reason: unknown): void {
    this.#state = this.#state === 'dropping' ? 'dropping' : 'over'
    if (this.#state === 'over') this.#parties.sink.onAbort?.(reason)
  }

  #send(engine: HttpEngine, headers: Readonly<Record<string, string>>): void {
    const { request } = this.#sending
    const { redirect } = request.fetchOptions ?? {}
    this.#state = 'sent'
    const fetchOptions = { ...request.fetchOptions, redirect: redirect === 'error' ? redirect : ('manual' as const) }
    const sent = { ...request, headers: { ...request.headers, ...headers }, credential: undefined, fetchOptions }
    // The getter of a body that can be sent only once is no member that a spread copies.
    Object.defineProperty(sent, 'isBodyReplayable', { get: () => request.isBodyReplayable, enumerable: true })
    engine.send(sent, this, this.#parties.scope)
  }

  #decide(isAgain: boolean, head: HttpHead, hop: Hop | undefined): void {
    if (hop) {
      this.#parties.scope.mark('headers', 'yes')
      this.#next(hop, head)
      return
    }
    const { request, isRepeated, redirected } = this.#sending
    if (isAgain && !isRepeated && isReplayable(request)) {
      this.#next({ request, redirected, isRepeated: true }, head)
      return
    }
    const { sink } = this.#parties
    this.#state = 'passing'
    sink.onHead({ ...head, redirected: redirected ?? head.redirected }, this.#control as HttpControl)
    for (const late of this.#late.splice(0)) late(sink)
    this.#control?.resume()
  }

  /** Where a redirect leads, which is followed here, since each hop has a signature of its own. */
  #hopOf({ status, headers }: HttpHead): Hop | HttpFault | undefined {
    const { request, redirected } = this.#sending
    const follows = request.fetchOptions?.redirect
    if (follows === 'manual') return undefined
    // Browsers do not say where a redirect leads.
    if (status === 0) return refuse('redirect while the request is signed')
    const location = isRedirect(status) ? headers.get('location') : null
    if (location === null) return undefined
    return follows === 'error' ? refuse('redirect') : followRedirect(request, status, location, redirected)
  }

  /** A redirect is told, too: it may set cookies, or a nonce for the hop to come. */
  #judge(head: HttpHead, control: HttpControl, hop: Hop | undefined): void {
    const isForeign = this.#sending.redirected?.isForeign
    const verdict = isForeign ? false : judge(this.#parties.signer, this.#signable, head)
    if (!isThenable(verdict)) {
      this.#decide(verdict === true, head, hop)
      return
    }
    this.#state = 'judging'
    control.pause()
    Promise.resolve(verdict).then(
      (isAgain) => this.#state === 'judging' && this.#decide(isAgain === true, head, hop),
      (cause) => this.#state === 'judging' && this.#refuse(judgingFault(cause)),
    )
  }

  /** The rest of this answer is read away, which keeps the connection, where it is short. */
  #next(sending: Sending, { headers }: HttpHead): void {
    this.#state = 'dropping'
    if (Number(headers.get('content-length') ?? 0) > drainedBytes) this.#control?.cancel()
    else this.#control?.resume()
    new SignedExchange(this.#parties, sending).start()
  }

  #pass(event: (sink: HttpSink) => void): void {
    if (this.#state === 'judging') this.#late.push(event)
    else if (this.#state === 'sent' || this.#state === 'passing') event(this.#parties.sink)
  }

  #refuse(fault: HttpFault): void {
    this.#control?.cancel()
    this.#fail(fault)
  }

  #fail(fault: HttpFault): void {
    this.#state = 'over'
    this.#parties.sink.onError(fault)
  }
}
