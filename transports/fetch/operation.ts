import type { Auth } from '../../src/core/call/auth.ts'
import type { OperationInfo } from '../../src/core/call/operation.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { guard } from '../../src/core/guard.ts'
import { checkOptions } from '../../src/core/options.ts'
import { page } from '../shared/base-url.ts'
import { nameOfPath } from '../shared/path-name.ts'
import { policyRules, routeRules } from './options.ts'
import type { FetchInput } from './request.ts'
import type { FaceOptions, FetchRequest, FetchRoute, OriginPolicy } from './types.ts'

/** What the transport and the face need to know of an operation. */
export interface FetchBinding {
  readonly auth: Auth | undefined
  readonly timeoutMs: number | undefined
  readonly idleTimeoutMs: number | undefined
}

const idempotent = /^(?:GET|HEAD|PUT|DELETE|OPTIONS|QUERY)$/
const defaultMaxOperations = 1_000

/**
 * The name of a request: its method and path, with `{n}` for numbers, UUIDs and long ids; never its query or host.
 *
 * @example
 * createFetch({ operationOf: (request) => request.headers.get('x-operation') ?? operationOf(request) })
 */
export function operationOf({ method, path }: Pick<FetchRequest, 'method' | 'path'>): string {
  return `${method} ${nameOfPath(path)}`
}

interface Route extends FetchRoute {
  readonly name: string
  readonly pattern: RegExp
}

/** A policy as it is looked up. */
interface Policy {
  readonly auth: Auth | undefined
  readonly idempotency: OriginPolicy['idempotency']
  readonly routes: readonly Route[]
}

/** The operations of one face: made when a request first needs them, and bounded in number. */
export class FetchOperations {
  readonly #infos = new Map<string, OperationInfo>()
  readonly #policies = new Map<string, Policy>()
  readonly #nameOf: NonNullable<FaceOptions['operationOf']>
  readonly #maxOperations: number
  readonly #idleTimeoutMs: number | undefined
  readonly #authOf: (origin: string) => Auth | undefined

  /** @param authOf - the credentials of an origin that has no policy. */
  constructor(options: FaceOptions, authOf: (origin: string) => Auth | undefined) {
    this.#nameOf = options.operationOf ?? operationOf
    this.#maxOperations = options.maxOperations ?? defaultMaxOperations
    this.#idleTimeoutMs = options.idleTimeoutMs
    this.#authOf = authOf
    for (const [url, policy] of Object.entries(options.origins ?? {})) {
      const origin = originOf(url)
      this.#policies.set(origin, toPolicy(policy, authOf(origin)))
    }
  }

  /** The operation of a request. */
  of(input: FetchInput): OperationInfo {
    const { method, origin } = input
    const policy = this.#policies.get(origin)
    const matched = policy?.routes.find(({ pattern }) => pattern.test(`${method} ${input.path}`))
    const route = matched ?? this.#name(input)
    const key = `${method} ${origin} ${route.name}`
    const known = this.#infos.get(key)
    if (known) return known
    if (matched || this.#infos.size < this.#maxOperations) return this.#add(key, origin, route, input, policy)
    // Neither do origins that nobody has named grow without end. What one request is said to be holds for no other.
    const auth = policy ? policy.auth : this.#authOf(origin)
    const own = policy || auth ? origin : undefined
    const name = `${idempotent.test(method) ? method : 'POST'} *`
    const shared = `${own} ${name}`
    return this.#infos.get(shared) ?? this.#add(shared, own, { name }, input, policy)
  }

  #name(input: FetchInput): FetchRoute & { readonly name: string } {
    const named: unknown = guard('operationOf(request)', () => this.#nameOf(input))
    const route = typeof named === 'string' ? { name: named } : named
    if (typeof (route as { name?: unknown } | undefined)?.name === 'string') return route as { name: string }
    throw refusal('operationOf(request) gave neither a name nor { name }', undefined)
  }

  #add(
    key: string,
    origin: string | undefined,
    route: FetchRoute & { readonly name: string },
    input: FetchInput,
    policy: Policy | undefined,
  ): OperationInfo {
    const binding: FetchBinding = {
      auth: policy ? policy.auth : this.#authOf(input.origin),
      timeoutMs: route.timeoutMs,
      idleTimeoutMs: this.#idleTimeoutMs,
    }
    const info: OperationInfo = {
      name: route.name,
      protocol: 'fetch',
      via: 'fetch',
      kind: 'unary',
      ...(origin !== undefined && { origin }),
      isIdempotent: route.idempotent ?? idempotent.test(input.method),
      isOpenEnded: true,
      isReplayable: (sent: FetchInput) => sent.isReplayable,
      idempotency: route.idempotency ?? policy?.idempotency,
      retry: route.retry,
      binding,
    }
    this.#infos.set(key, info)
    return info
  }
}

/** Origins are compared as URLs say them: without a path or a standard port. @throws {CallError} `invalid_argument` */
function originOf(url: string): string {
  try {
    const { origin } = url === 'self' ? (page() as { origin: string }) : new URL(url)
    if (/^https?:/.test(origin)) return origin
  } catch {
    // Neither a URL nor a page.
  }
  throw refusal(
    "createFetch({ origin }) takes an origin such as 'https://api.example.com', or 'self' in a browser",
    undefined,
  )
}

function toPolicy(policy: OriginPolicy, inherited: Auth | undefined): Policy {
  checkOptions('createFetch({ origins })', policy, policyRules)
  const { auth, idempotency, routes = {} } = policy
  for (const [name, route] of Object.entries(routes)) {
    checkOptions(`createFetch({ routes: { '${name}' } })`, route, routeRules)
    if (!/^[A-Z]+ \//.test(name)) throw refusal(`createFetch({ routes }): write '${name}' as 'POST /path'`, undefined)
  }
  return {
    auth: auth === false ? undefined : (auth ?? inherited),
    idempotency,
    routes: Object.entries(routes).map(([name, route]) => ({ ...route, name, pattern: patternOf(name) })),
  }
}

/** `POST /v1/charges/{id}` as what a method and a path are held against. */
function patternOf(route: string): RegExp {
  const parts = route.split(/\{[^}/]*\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('[^/]+')}$`)
}
