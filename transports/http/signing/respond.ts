import { type ErrorOrigin, isAnyCallError } from '../../../src/core/errors/error.ts'
import { bodyKind } from '../bytes.ts'
import type { HttpRequest, HttpScope } from '../contract.ts'
import { callOver, HttpFaultError } from '../fault.ts'
import type { Redirected } from '../progress.ts'
import { followRedirect, isRedirect, isReplayable, refuse } from '../redirect.ts'
import { ReplayBody } from '../replay-body.ts'
import { type Answer, describeResponse, type OpenRequest, type Responder } from '../responder.ts'
import {
  judge,
  judgingFault,
  maxHashedBytes,
  type RequestSigner,
  type SignableRequest,
  type SignedAnswer,
  signatureOf,
  signingFault,
  toSignable,
} from './signer.ts'

/** The same for what gives a Response: its own redirects are left to us, too. */
export async function respond(
  responder: Responder,
  signer: RequestSigner,
  asked: OpenRequest,
  scope: HttpScope,
  origin: ErrorOrigin,
): Promise<Answer> {
  let request = await withFinalBody(asked)
  let redirected: Redirected | undefined
  const redirect = request.init.redirect ?? 'follow'
  for (let isRepeated = false; ; ) {
    const signable = toSignable(request)
    const headers = redirected?.isForeign ? {} : await signedOrFault(signer, signable)
    if (scope.isOver) throw new HttpFaultError(callOver)
    const init = redirect === 'follow' ? { ...request.init, redirect: 'manual' } : request.init
    const sent = { ...request, headers: { ...request.headers, ...headers }, credential: undefined, init }
    const answer = await responder.respond(sent, scope, origin)
    const location = isRedirect(answer.status) ? answer.headers.get('location') : null
    const isOpaque = answer.response.type === 'opaqueredirect'
    if (redirect === 'follow' && (location !== null || isOpaque)) {
      if (!redirected?.isForeign) await judged(signer, signable, answerOf(answer, request))
      answer.discard()
      const hop = isOpaque
        ? refuse('redirect while the request is signed')
        : followRedirect(asReplayable(request), answer.status, location as string, redirected)
      if ('what' in hop) throw new HttpFaultError(hop)
      request = { ...request, ...(hop.request as object) } as OpenRequest
      redirected = hop.redirected
      continue
    }
    const isAgain = redirected?.isForeign ? false : await judged(signer, signable, answerOf(answer, request))
    if (isAgain === true && !isRepeated && isReplayable(asReplayable(request))) {
      answer.discard()
      isRepeated = true
      continue
    }
    return redirected ? described(answer, request, redirected) : answer
  }
}

async function judged(signer: RequestSigner, request: SignableRequest, answer: SignedAnswer): Promise<boolean> {
  try {
    return (await judge(signer, request, answer)) === true
  } catch (cause) {
    throw isAnyCallError(cause) ? cause : new HttpFaultError(judgingFault(cause))
  }
}

function answerOf({ status, headers }: Answer, { url }: OpenRequest): SignedAnswer {
  return { status, headers, url }
}

function described(answer: Answer, { url }: OpenRequest, redirected: Redirected): Answer {
  const { type } = answer.response
  describeResponse(answer.response, { url: answer.response.url || url, redirected: true, type })
  return Object.assign(answer, { redirected })
}

/** What redirects ask of a body. */
function asReplayable(request: OpenRequest): HttpRequest {
  const { body } = request
  const isOnce = body instanceof ReplayBody && !body.isReplayable
  return { ...request, body: isOnce ? () => body.open() : (body as never), isBodyReplayable: !isOnce }
}

/** A form has its boundary, and a Blob its bytes, before they are signed. */
async function withFinalBody(request: OpenRequest): Promise<OpenRequest> {
  const { body, headers } = request
  const kind = bodyKind(body)
  if (body === undefined || body instanceof ReplayBody || kind === 'text' || kind === 'bytes') return request
  const written = new Response(body as BodyInit)
  if (kind === 'blob' && (body as Blob).size > maxHashedBytes) return request
  const contentType = headers['content-type'] ?? written.headers.get('content-type')
  const bytes = new Uint8Array(await written.arrayBuffer())
  return { ...request, body: bytes, headers: contentType ? { ...headers, 'content-type': contentType } : headers }
}

async function signedOrFault(signer: RequestSigner, request: SignableRequest): Promise<Record<string, string>> {
  try {
    return await signatureOf(signer, request)
  } catch (cause) {
    throw isAnyCallError(cause) ? cause : new HttpFaultError(signingFault(cause))
  }
}
