import type { Call } from '../../src/core/call/call.ts'
import { readHeaders } from '../../src/core/call/header-map.ts'
import type { Check, OperationInfo } from '../../src/core/call/operation.ts'
import { percentDecoded } from '../../src/core/call/percent.ts'
import { ownPlan, type Plan, type PlansItself } from '../../src/core/call/plan.ts'
import type { Schema } from '../../src/core/call/schema.ts'
import { CallError, type ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { readBaseUrl } from '../shared/base-url.ts'
import type { HttpRequest } from './contract.ts'
import type { RequestInput, RequestParts } from './input.ts'
import type { UrlTemplate } from './path.ts'
import { isSearchParams } from './query.ts'
import { alwaysSecret } from './redirect.ts'

/** What `at` reads of a transport: the options that it was made with. */
export interface LinkOptions {
  readonly baseUrl: string
  readonly origins?: readonly string[] | undefined
  readonly headers?: Parameters<typeof readHeaders>[0]
  /** The parameter of an event stream that a cursor goes to. */
  readonly cursorQuery?: string | undefined
}
/** A transport whose operations can be called by URL. */
interface LinkTransport {
  readonly origin?: string | undefined
  /** A function, so that a transport on a console shows no secret. */
  readonly linkOptions?: () => LinkOptions
}
/** The part of an operation's binding that `at` needs. */
interface LinkBinding {
  readonly template: UrlTemplate
  /** The only part of the input that no URL can hold: it is validated as ever. */
  readonly bodySchema: Schema<any, any> | '*' | undefined
}

interface Target {
  readonly href: string
  readonly origin: string
  /** Of another origin than the transport's: a listed one. */
  readonly isForeign: boolean
}

/**
 * Stands where the input stands, and calls a URL that the server has given: a `Location`, a `next` link. All else of the
 * call (method, chain, types, name in errors) is the operation's.
 *
 * It leads to the transport's own origin or to one of its `origins`, which get neither its credential nor its headers;
 * any other is refused with `permission_denied`, unsent. A relative URL is resolved against `baseUrl`.
 *
 * @param url - absolute, or relative to `baseUrl`; a fragment is left out.
 * @param rest - what the URL does not hold: members of the body, or parameters of the query, which win over the URL's.
 * @example
 * const { headers } = await api.jobs.start.reply({ input })
 * await api.jobs.get(at(headers.get('location') ?? '/jobs'))
 * for await (const page of api.users.list.pages(at(saved.next))) show(page)
 */
export function at<In>(url: string | { readonly href: string }, rest?: NoInfer<Partial<In>>): In {
  const href: unknown = (url as { readonly href?: unknown } | null | undefined)?.href ?? url
  // Its own members are those of the rest, so that what copies and extends inputs (pages, adapt) copies the URL along.
  const input: PlansItself = { ...rest, [ownPlan]: (plan) => planAt(plan, href) }
  return input as In
}

/** The same for a link that the library follows by itself: secrets that the caller has named for the first request stay at home. */
export function linked(href: string | undefined): PlansItself {
  return { [ownPlan]: (plan) => planAt(plan, href, true) }
}

/**
 * A link of a reply as `at` takes it: absolute, where it is known where the reply came from (RFC 3986 §5.1.3).
 *
 * @throws {CallError} `internal` where it is relative to a place that is not known: from `baseUrl` it would lead elsewhere.
 */
export function resolveLink<Href extends string | undefined>(
  href: Href,
  url: string | undefined,
  relation = 'Location',
  origin?: ErrorOrigin,
): Href | string {
  if (href === undefined) return href
  const base = url && URL.canParse(url) ? url : undefined
  if (URL.canParse(href, base)) return base ? new URL(href, base).href : href
  // What is no URL anywhere is refused by `at`.
  if (base || href.startsWith('/')) return href
  const message = `the link '${relation}' is relative, and nobody knows to what: take it of what .reply() gave`
  throw new CallError({ code: 'internal', message, phase: 'body', sent: 'yes' }, origin)
}

/** The plan of one call: the operation's, but for the URL. What is wrong is said when the call begins. */
function planAt(plan: Plan, href: unknown, isFollowed?: true): Plan {
  const { info, route } = plan
  let target: Target
  let options: LinkOptions | undefined
  try {
    options = linkOptionsOf(info, route.transport)
    target = targetOf(info, href, options)
  } catch (refused) {
    return {
      ...plan,
      encodeInput() {
        throw refused
      },
    }
  }
  const { isForeign, origin } = target
  const binding = info.binding as LinkBinding | undefined
  // Made of calls that take the input themselves: poll().
  if (!binding) return plan
  const template: UrlTemplate = {
    hasQuery: false,
    fill: () => '',
    place: (request, call) => placed(request, call, target, options, isFollowed),
  }
  /** Beside the parameters, so that whoever tells calls apart by their input sees it. */
  const named = (parts: object): object => {
    const { params } = parts as RequestParts
    if (Object.values(params).some((value) => value !== undefined))
      throw refusal(`at(url, rest): '${Object.keys(params)[0]}' stands in the URL already`, { operation: info })
    return Object.assign(parts, { params: { at: target.href } })
  }
  return {
    ...plan,
    info: {
      ...info,
      binding: { ...binding, template },
      ...(info.resume && {
        resume: { ...info.resume, apply: (parts, after) => named(info.resume?.apply(parts, after)) },
      }),
      ...(isForeign && { origin, auth: false }),
    },
    encodeInput(input, check) {
      const parts = encodeRest(info, input, check)
      return parts instanceof Promise ? parts.then(named) : named(parts)
    },
  }
}

/** The operation's own encoding of what the URL does not hold. */
function encodeRest(info: OperationInfo, input: unknown, check: Check): RequestInput | Promise<RequestInput> {
  const rest = Object.fromEntries(Object.entries(input as object))
  const adapt = info.adapted?.input
  const inner = adapt && Object.keys(rest).length > 0 ? adapt(rest) : rest
  const { bodySchema } = info.binding as LinkBinding
  // A schema of the query or the whole would miss what stands in the URL.
  return info.encodeInput?.(inner, (schema, value) => (schema === bodySchema ? check(schema, value) : value)) as
    | RequestInput
    | Promise<RequestInput>
}

function linkOptionsOf(operation: OperationInfo, transport: LinkTransport): LinkOptions | undefined {
  if (operation.failover)
    throw refusal('at() leads to one server, and failover() to several: call the operation of one route', { operation })
  const options = transport.linkOptions?.()
  // A transport without a wire sends nothing anywhere.
  if (!options && /^http/.test(transport.origin ?? 'http'))
    throw refusal(`at() stands for the input of REST calls and event streams, not of ${operation.protocol}`, {
      operation,
    })
  return options
}

function targetOf(operation: OperationInfo, href: unknown, options: LinkOptions | undefined): Target {
  if (typeof href !== 'string')
    throw refusal(`at() takes a URL, not ${href === null ? 'null' : typeof href}`, { operation })
  const base = options ? readBaseUrl(options.baseUrl, 'at') : { origin: 'null', prefix: 'memory://' }
  const from = `${base.prefix}/`
  if (!URL.canParse(href, from)) throw refusal('at(): this is no URL', { operation })
  const url = new URL(href, from)
  url.hash = ''
  const { origin } = url
  const isForeign = options !== undefined && origin !== base.origin
  if (isForeign && !/^https?:$/.test(url.protocol)) throw refusal('at(): this is no http URL', { operation })
  if (url.username || url.password) throw refusal('at(): no user name or password in the URL', { operation })
  if (isForeign && !options.origins?.includes(origin)) {
    const where = `at(): ${origin} is another origin than the transport's, ${base.origin}`
    const message = `${where}; nothing was sent. Where it may be called, without credentials: ${operation.protocol}Transport({ origins: ['${origin}'] })`
    throw new CallError({ code: 'permission_denied', message, phase: 'resolve', sent: 'no' }, { operation })
  }
  return { href: url.href, origin, isForeign }
}

/** The request as it was made for no path, put to the URL. */
function placed(
  request: HttpRequest,
  call: Call,
  target: Target,
  options: LinkOptions | undefined,
  isFollowed: true | undefined,
): HttpRequest {
  const { query, headers: own } = call.input as RequestParts
  const asked = isSearchParams(query) ? [...new URLSearchParams(query as URLSearchParams).keys()] : Object.keys(query)
  const winning = new Set([...asked, ...Object.keys(call.credential?.query ?? {}), options?.cursorQuery])
  const url = withQuery(target, request.url.split('?').slice(1).join('?'), winning)
  if (!target.isForeign) return { ...request, url }
  const ofCredential = Object.keys(call.credential?.headers ?? {})
  const secret = new Set([...alwaysSecret, ...ofCredential, ...Object.keys(readHeaders(options?.headers))])
  const named = new Set(['accept', 'content-type'])
  if (!isFollowed)
    for (const name of Object.keys({ ...readHeaders(call.options.headers), ...own })) named.add(name.toLowerCase())
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(request.headers))
    if (named.has(name) || !secret.has(name)) headers[name] = value
  return { ...request, url, headers }
}

/**
 * The URL, byte for byte, with what the request adds: its own parameters and its credential's take the place of the
 * URL's, the transport's defaults only fill in, and never at another origin.
 */
function withQuery({ href, isForeign }: Target, written: string, winning: ReadonlySet<unknown>): string {
  const end = href.indexOf('?')
  const there = end < 0 ? [] : href.slice(end + 1).split('&')
  const taken = new Set(there.map(topName))
  const added: string[] = []
  const replaced = new Set<string>()
  for (const pair of written.split('&')) {
    const name = topName(pair)
    if (pair === '' || (!winning.has(name) && (isForeign || taken.has(name)))) continue
    if (winning.has(name)) replaced.add(name)
    added.push(pair)
  }
  if (added.length === 0) return href
  const kept = there.filter((pair) => pair !== '' && !replaced.has(topName(pair)))
  return `${end < 0 ? href : href.slice(0, end)}?${[...kept, ...added].join('&')}`
}

/** `a` of `a=1`, `a[]=1` and `a%5Bb%5D=1`. */
function topName(pair: string): string {
  const name = (pair.split('=')[0] as string).replaceAll('+', ' ')
  return percentDecoded(name).split('[')[0] as string
}
