import { HeaderMap } from '../../../../src/core/call/header-map.ts'
import { asAttempt, type CreateContext, nesting } from '../../../../src/core/call/nesting.ts'
import type { ErrorOrigin } from '../../../../src/core/errors/error.ts'
import { isObject } from '../../../../src/core/tag.ts'
import { toReadable } from '../../bytes.ts'
import type { FetchLike, HttpFault, HttpRequest, HttpScope, HttpWire } from '../../contract.ts'
import { classify, type Explain, explainByPhase, faultAt, HttpFaultError, isMistake } from '../../fault.ts'
import { handedOver, handedOverToFollow, type Progress, type Redirected, redirectedBy } from '../../progress.ts'
import { type FollowRedirect, isRedirect, refuse } from '../../redirect.ts'
import { ReplayBody } from '../../replay-body.ts'
import { type Answer, describeResponse, drainedBytes, type OpenRequest, type Responder } from '../../responder.ts'
import { globalFetch, isFetchStock } from '../stock-fetch.ts'
import { isForeign } from './engine.ts'
import { isSignalRefused, isValid, type ResponseLike } from './init.ts'

/**
 * Gives the Response of a `fetch`, the platform's or the user's, as it is.
 *
 * Redirects are fetch's own business, except with a credential of ours that it would carry to another origin.
 */
export class FetchResponder implements Responder {
  readonly #fetch: FetchLike | undefined
  readonly #explain: Explain
  readonly #follow: FollowRedirect | undefined
  readonly #createContext: CreateContext
  readonly #original = globalFetch()

  /**
   * @param fetch - the user's; the platform's is looked up at call time, so that tests can replace it.
   * @param follow - follows redirects that are not fetch's; none in browsers, where only fetch sees them.
   */
  constructor(
    fetch: FetchLike | undefined,
    createContext: CreateContext,
    explain: Explain = explainByPhase,
    follow?: FollowRedirect,
  ) {
    this.#fetch = fetch && asAttempt(fetch, createContext)
    this.#createContext = createContext
    this.#explain = explain
    this.#follow = follow
  }

  async respond(request: OpenRequest, scope: HttpScope, origin: ErrorOrigin): Promise<Answer> {
    const wire = request.credential?.wire as HttpWire | undefined
    if (wire) return wire.respond(this, request, scope, origin)
    const own = new AbortController()
    const offAbort = scope.onAbort((reason) => own.abort(reason))
    const attempt: Attempt = { request, redirected: undefined, progress: handedOver }
    try {
      const response = await this.#exchange(attempt, own, scope)
      scope.mark('body', 'yes')
      return answerOf(attempt, response, own)
    } catch (error) {
      if (own.signal.aborted) throw own.signal.reason
      throw error instanceof HttpFaultError ? error : new HttpFaultError(this.#faultOf(error, attempt))
    } finally {
      offAbort()
    }
  }

  async close(): Promise<void> {}

  async #exchange(attempt: Attempt, own: AbortController, scope: HttpScope): Promise<Response> {
    for (;;) {
      const { request } = attempt
      const isOurs = (request.init.redirect ?? 'follow') === 'follow' && hasForeignSecret(request)
      const init = initOf(request, own.signal)
      if (isOurs) init.redirect = 'manual'
      attempt.progress = isOurs ? handedOver : handedOverToFollow
      scope.mark('connect', attempt.redirected ? 'yes' : 'maybe')
      const response = await this.#send(request.url, init)
      const isNetwork = response?.type === 'error'
      if (isNetwork || !isObject(response)) {
        const code = isNetwork ? undefined : 'internal'
        const hint = 'Look at what replaced fetch'
        throw new HttpFaultError({ ...attempt.progress, what: 'fetch gave no response', hint, code })
      }
      if (!isOurs) return response
      const location = HeaderMap.from((response as ResponseLike).headers ?? []).get('location') ?? ''
      const isOpaque = response.type === 'opaqueredirect'
      if (!isOpaque && !(isRedirect(response.status) && location !== '')) return response
      response.body?.cancel().catch(() => undefined)
      if (isOpaque || !this.#follow) throw new HttpFaultError(refuse('redirect while a credential header is set'))
      const next = this.#follow(request as HttpRequest, response.status, location, attempt.redirected)
      if ('what' in next) throw new HttpFaultError(next)
      attempt.request = next.request as OpenRequest
      attempt.redirected = next.redirected
    }
  }

  async #send(url: string, init: RequestInit): Promise<Response> {
    const fetch = this.#fetch ?? this.#platformFetch()
    try {
      return (await fetch(url, init as Record<string, unknown>)) as Response
    } catch (error) {
      if (!isSignalRefused(error, init as Record<string, unknown>)) throw error
      // jsdom's AbortController: nothing was sent yet.
      return (await fetch(url, { ...init, signal: undefined })) as Response
    }
  }

  /** What has taken the global's place since may itself call a face: then it goes by what was there. */
  #platformFetch(): FetchLike {
    const fetch = globalFetch()
    if (fetch === this.#original) return fetch
    return nesting.isInside?.() ? this.#original : asAttempt(fetch, this.#createContext)
  }

  #faultOf(cause: unknown, { request, progress }: Attempt): HttpFault {
    const failure = request.body instanceof ReplayBody ? request.body.failure : undefined
    if (failure) {
      const what = 'the stream of the request body failed'
      return faultAt(progress, { ...progress, what, code: 'invalid_argument', cause: failure.error })
    }
    if (!isValid(request as HttpRequest))
      return { phase: 'resolve', sent: 'no', what: 'invalid URL, method or header', code: 'invalid_argument', cause }
    if (isMistake(cause) && !(this.#fetch === undefined && isFetchStock()))
      return faultAt(progress, { ...progress, what: 'fetch threw: see cause', code: 'internal', cause })
    return classify(cause, progress, this.#explain)
  }
}

interface Attempt {
  request: OpenRequest
  redirected: Redirected | undefined
  progress: Progress
}

function answerOf({ request, redirected: before }: Attempt, response: Response, own: AbortController): Answer {
  const { method, url } = request
  const redirected = response.redirected
    ? redirectedBy(undefined, method, isForeign(url, response.url), before)
    : before
  // What was followed by hand, the platform's own Response knows nothing of.
  if (before) describeResponse(response, { url: response.url || url, redirected: true, type: response.type })
  const headers = HeaderMap.from((response as ResponseLike).headers ?? [])
  return {
    response,
    status: response.status ?? (response.ok === false ? 500 : 200),
    headers,
    redirected,
    discard() {
      const length = Number(headers.get('content-length') ?? Number.POSITIVE_INFINITY)
      const done = length <= drainedBytes ? response.arrayBuffer?.() : response.body?.cancel?.()
      done?.catch(() => undefined)
    },
    abort: (reason) => own.abort(reason),
  }
}

/** No option is named that was not asked for: workerd refuses some that it does not know. */
function initOf({ method, headers, body, init, signal }: OpenRequest, own: AbortSignal): RequestInit {
  const made: RequestInit & { duplex?: string } = { ...init, method, headers, signal: both(own, signal) }
  if (body instanceof ReplayBody) {
    made.body = toReadable(body.open(), () => undefined)
    made.duplex = 'half'
  } else if (body !== undefined) made.body = body as BodyInit
  return made
}

/** Ends with either; nothing is left on the caller's, since the platform holds such signals weakly. */
function both(own: AbortSignal, callers: AbortSignal | undefined): AbortSignal {
  if (!callers) return own
  try {
    return AbortSignal.any([callers, own])
  } catch {
    return own
  }
}

/** A credential of ours in a header that fetch does not know for one. */
function hasForeignSecret({ credential }: OpenRequest): boolean {
  return Object.keys(credential?.headers ?? {}).some((name) => name !== 'authorization' && name !== 'cookie')
}
