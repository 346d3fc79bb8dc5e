import type { Credential, CredentialWire } from '../../../src/core/call/auth.ts'
import { bodyKind } from '../bytes.ts'
import type { HttpRequest, HttpWire } from '../contract.ts'
import { SignedExchange } from './exchange.ts'
import { respond } from './respond.ts'
import { type RequestSigner, type SignableRequest, signatureOf, signingFault, toSignable } from './signer.ts'

const signers = /* @__PURE__ */ new WeakMap<CredentialWire, RequestSigner>()

/** A second signer behind the one that a credential has already: it sees, and may cover, what the first has added. */
export function joinWire(first: CredentialWire, second: RequestSigner): CredentialWire {
  const signer = signers.get(first)
  return wireOf(signer ? joined(signer, second) : second)
}

function joined(first: RequestSigner, second: RequestSigner): RequestSigner {
  const shown = new WeakMap<SignableRequest, SignableRequest>()
  return {
    async sign(request) {
      const headers = await signatureOf(first, request)
      const next = { ...request, headers: { ...request.headers, ...headers } }
      shown.set(request, next)
      return { ...headers, ...(await signatureOf(second, next)) }
    },
    async answered(request, answer) {
      // Each has to know of it, whatever the other says.
      const isFirst = await first.answered?.(request, answer)
      const isSecond = await second.answered?.(shown.get(request) ?? request, answer)
      return isFirst === true || isSecond === true
    },
  }
}

/**
 * Puts a signer on the wire.
 *
 * @param needs - which methods are signed. @defaultValue all
 */
export function wireOf(signer: RequestSigner, needs?: (method: string) => boolean): CredentialWire {
  const wire: HttpWire = {
    send(engine, request, sink, scope) {
      if (needs && !needs(request.method)) {
        engine.send({ ...request, credential: withoutWire(request.credential) }, sink, scope)
        return
      }
      const parties = { engine, signer, sink, scope }
      const start = (final: HttpRequest): void => new SignedExchange(parties, { request: final }).start()
      if (bodyKind(request.blob) !== 'form') start(request)
      else withFinalForm(request).then(start, (cause) => sink.onError(signingFault(cause)))
    },
    respond(responder, request, scope, origin) {
      if (!needs || needs(request.method)) return respond(responder, signer, request, scope, origin)
      return responder.respond({ ...request, credential: withoutWire(request.credential) }, scope, origin)
    },
    handshake: async (url, headers) => {
      const target = url.replace(/^ws/, 'http')
      return { ...headers, ...(await signatureOf(signer, toSignable({ method: 'GET', url: target, headers }))) }
    },
  }
  signers.set(wire, signer)
  return wire
}

/** The boundary of a form that fetch would write stands in what is signed. */
async function withFinalForm(request: HttpRequest): Promise<HttpRequest> {
  const written = new Response(request.blob as FormData)
  const contentType = written.headers.get('content-type') as string
  const body = new Uint8Array(await written.arrayBuffer())
  return { ...request, blob: undefined, body, headers: { ...request.headers, 'content-type': contentType } }
}

function withoutWire(credential: Credential | undefined): Credential {
  const { wire: _, ...rest } = credential ?? {}
  return rest
}
