import type { Call } from '../../core/call/call.ts'
import type { OperationInfo } from '../../core/call/operation.ts'
import type { Plan } from '../../core/call/plan.ts'
import type { Services } from '../../core/call/scope.ts'
import { isAnyCallError } from '../../core/errors/error.ts'
import type { Attributes, SpanKind } from './peer-opentelemetry.ts'

/** `SpanKind` of the API, which is loaded later than operations are described. */
const spanKinds = { internal: 0, client: 2 } as const satisfies Record<string, SpanKind>

/** What is known of an operation before it is called: names, kinds and attributes, the same for all its calls. */
export interface Described {
  readonly call: Named
  readonly attempt: Named & {
    /** Its duration is one of an HTTP request. */
    readonly isHttp: boolean
    /** The few that metrics are told apart by. */
    readonly metricAttributes: Attributes
  }
  /** Of the call's metrics. */
  readonly metricAttributes: Attributes
}

/** A span that is to be begun. */
export interface Named {
  readonly name: string
  readonly kind: SpanKind
  readonly attributes: Attributes
}

/** `GET /users/{id}`. */
const httpName = /^([A-Z]+) (\/.*|\*)$/
/** Source: https://www.rfc-editor.org/rfc/rfc9110#name-methods, RFC 5789, and QUERY. */
const methods = /^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE|CONNECT|QUERY)$/

/** Describes operations by the semantic conventions; each once for a client. */
export class Descriptions {
  readonly #known = new WeakMap<Services, WeakMap<OperationInfo, Described>>()

  of({ operation, scope }: Call): Described {
    const { services } = scope
    let ofClient = this.#known.get(services)
    if (!ofClient) this.#known.set(services, (ofClient = new WeakMap()))
    let found = ofClient.get(operation)
    if (!found) ofClient.set(operation, (found = describe(operation, services)))
    return found
  }
}

function describe(operation: OperationInfo, services: Services): Described {
  const { name, protocol, via } = operation
  const place = placeOf(operation, services)
  const own = { 'polywire.operation': name, 'polywire.protocol': protocol, 'polywire.transport': via }
  const isRpc = protocol === 'grpc-web'
  const semantics = isRpc ? rpcAttributes(name) : protocol === 'graphql' ? graphqlAttributes(name) : {}
  return {
    call: {
      name,
      kind: isRpc ? spanKinds.client : spanKinds.internal,
      attributes: { ...own, ...semantics, ...(isRpc && place.server) },
    },
    attempt: protocol === 'websocket' ? socketAttempt(name, own, place) : httpAttempt(name, protocol, own, place),
    metricAttributes: isRpc ? { ...semantics, ...place.server } : own,
  }
}

const rpcAttributes = (name: string): Attributes => ({ 'rpc.system.name': 'grpc', 'rpc.method': name })

/** Operation names are the client's own here, and no more of them than it has operations. */
function graphqlAttributes(name: string): Attributes {
  const [type = '', operationName = ''] = name.split(' ')
  return {
    'graphql.operation.type': type,
    ...(operationName !== '(anonymous)' && { 'graphql.operation.name': operationName }),
  }
}

function httpAttempt(
  name: string,
  protocol: string,
  own: Attributes,
  { server, scheme, url }: Place,
): Described['attempt'] {
  // gRPC-Web and GraphQL are POSTs, whose path is the method's or the endpoint's.
  const [, method = 'POST', template = protocol === 'grpc-web' ? `/${name}` : ''] = httpName.exec(name) ?? []
  const isKnown = methods.test(method)
  const request = {
    'http.request.method': isKnown ? method : '_OTHER',
    ...server,
    ...(scheme !== undefined && { 'url.scheme': scheme }),
  }
  return {
    name: `${isKnown ? method : 'HTTP'} ${template}`.trimEnd(),
    kind: spanKinds.client,
    isHttp: true,
    metricAttributes: request,
    attributes: {
      ...own,
      ...request,
      ...(!isKnown && { 'http.request.method_original': method }),
      ...(template !== '' && { 'url.template': template }),
      // Whatever stands in the place of the names is the caller's data.
      ...(url !== undefined && { 'url.full': url + template }),
    },
  }
}

function socketAttempt(name: string, own: Attributes, { server, scheme }: Place): Described['attempt'] {
  const [kind, ...rest] = name.split(' ')
  const destination = rest.join(' ')
  const attributes = {
    ...own,
    ...server,
    ...(scheme !== undefined && { 'url.scheme': scheme }),
    'network.protocol.name': 'websocket',
    'messaging.system': 'websocket',
    'messaging.operation.name': kind === 'channel' ? 'subscribe' : 'request',
    'messaging.destination.template': destination,
  }
  const spanName = `${attributes['messaging.operation.name']} ${destination}`
  return { name: spanName, kind: spanKinds.client, isHttp: false, metricAttributes: {}, attributes }
}

/** Where the calls of an operation go, as far as that is known. */
interface Place {
  readonly server: Attributes
  readonly scheme: string | undefined
  /** Without what the operation adds. */
  readonly url: string | undefined
}

function placeOf(operation: OperationInfo, services: Services): Place {
  const { via, origin } = operation
  const at = origin ?? services.limits.origins.get(via)
  const url = at !== undefined && URL.canParse(at) ? new URL(at) : undefined
  if (!url) return { server: {}, scheme: undefined, url: undefined }
  const scheme = url.protocol.slice(0, -1)
  const port = url.port === '' ? (scheme === 'http' ? 80 : 443) : Number(url.port)
  return {
    server: { 'server.address': url.hostname, 'server.port': port },
    scheme,
    url: urlOf(operation, services) ?? url.origin,
  }
}

/** What the transport puts in front of every path. A query may hold a key. */
function urlOf(operation: OperationInfo, services: Services): string | undefined {
  if (operation.origin !== undefined) return undefined
  return (services.planOf?.(operation) as Plan | undefined)?.route.transport.url?.replace(/\?.*/, '')
}

/** What a call or an attempt ended with, in the words of the conventions. */
export interface Ending {
  readonly attributes: Attributes
  /** Undefined where it did not fail. */
  readonly errorType: string | undefined
  /** Where the status says it all, there is none. */
  readonly description: string | undefined
}

/** gRPC's own names: `deadline_exceeded` is `DEADLINE_EXCEEDED`, `canceled` is `CANCELLED`. */
const rpcStatus = (code: string): string => (code === 'canceled' ? 'CANCELLED' : code.toUpperCase())

/**
 * How something ended. The caller's own abort is no failure.
 *
 * @param of - `http`: an attempt; `rpc`: a call of gRPC; `call`: any other.
 */
export function endingOf(of: 'http' | 'rpc' | 'call', call: Call, error: unknown, status: number | undefined): Ending {
  const { scope } = call
  const known = isAnyCallError(error) ? error : undefined
  const isAbort = error !== undefined && (known ? known.code === 'canceled' : scope.isAborted && error === scope.reason)
  const answered = known?.status ?? status
  const code = known?.code ?? (error === undefined ? undefined : '_OTHER')
  const attributes: Attributes = {}
  if (of === 'http' && answered !== undefined && (error === undefined || known?.status !== undefined))
    attributes['http.response.status_code'] = answered
  if (of === 'rpc') attributes['rpc.status_code'] = code === undefined ? 'OK' : isAbort ? 'CANCELLED' : rpcStatus(code)
  if (code === undefined || isAbort) return { attributes, errorType: undefined, description: undefined }
  const byStatus = of === 'http' && known?.status !== undefined && known.status >= 400
  const errorType = byStatus ? String(known.status) : of === 'rpc' ? rpcStatus(code) : code
  attributes['error.type'] = errorType
  return { attributes, errorType, description: byStatus ? undefined : known?.message }
}
