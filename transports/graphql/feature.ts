import type { Call } from '../../src/core/call/call.ts'
import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import type { BufferedResponse } from '../http/collect.ts'
import { stringifyJson } from '../shared/json.ts'
import { type DocumentText, type PreparedDocument, textOf } from './document.ts'
import type { HttpGraphQLTransport } from './exchange.ts'
import type { GraphQLBinding } from './operation.ts'
import { extensionsOf } from './request.ts'

/** What a transport or an operation can beside plain requests; made by `persistedQueries()`, `getQueries()` and their like. */
export interface GraphQLFeature {
  readonly kind: string
}

/** The same for the transport. */
export interface AskingFeature extends GraphQLFeature {
  /** Asks with all features of the call. */
  ask(call: Call, document: DocumentText, http: HttpGraphQLTransport): Promise<Answer>
}

/** What comes back for one request: a response, or its part of one. */
export interface Answer extends Omit<BufferedResponse, 'body' | 'trailers' | 'url'> {
  readonly body?: Uint8Array
  /** Set where somebody else has read the JSON: what it holds. */
  readonly parsed?: { readonly value: unknown }
}

/** What is closed with its transport. */
export interface Closable {
  close(): void
}

/** How JSON is read and written otherwise; see `jsonCodec()`. */
export interface JsonWays {
  read(text: string, origin: ErrorOrigin | undefined): { readonly value: unknown } | undefined
  write(value: unknown, what: string, origin: ErrorOrigin): string | undefined
}

/** A request that is on its way to be written. */
export interface Asked {
  readonly call: Call
  readonly document: PreparedDocument
  /** What its JSON holds, in order; what is undefined is left out. */
  readonly members: Readonly<Record<string, unknown>>
  /** Reads and writes what the platform's JSON would lose. */
  readonly json?: JsonWays
  /** It is too long for a URL, or holds files: it stays a POST. */
  readonly isPost?: boolean
}

/** Sends one request. */
export type Ask = (asked: Asked) => Promise<Answer>

/** The order in which features see a request: the first is outermost. */
const order = ['json', 'socket requests', 'documents', 'uploads', 'get queries', 'batching', 'subscriptions'] as const

/** A feature as the others see it. */
export abstract class Feature implements AskingFeature {
  abstract readonly kind: (typeof order)[number]

  /** Does its part of a request, and leaves the rest to `next`. */
  abstract wrap(next: Ask, http: HttpGraphQLTransport): Ask

  /** The request under the name that its document has with the server, where this is what the feature does. */
  named?(asked: Asked): Asked

  /** Whether no socket can carry this request: it holds what only this feature can send. */
  needsHttp?(asked: Asked): boolean

  ask(call: Call, text: DocumentText, http: HttpGraphQLTransport): Promise<Answer> {
    const post: Ask = (asked) => http.request(call, { body: bodyOf(asked) })
    const features = [...featuresOf(call, http)].sort((a, b) => order.indexOf(b.kind) - order.indexOf(a.kind))
    const twice = features.find(({ kind }, index) => kind === features[index + 1]?.kind)
    if (twice) throw refusal(`features holds two that do one thing (${twice.kind}): leave one out`, call)
    return features.reduce<Ask>((next, feature) => feature.wrap(next, http), post)(askedOf(call, text, http))
  }
}

/** What an operation, else its transport, can beside plain requests. */
export function featuresOf(call: Call, http: HttpGraphQLTransport): readonly Feature[] {
  const { features = http.options.features ?? [] } = call.operation.binding as GraphQLBinding
  return features as readonly Feature[]
}

/** How JSON is read and written otherwise, where a `jsonCodec()` is among the features. */
export function jsonOf(features: readonly GraphQLFeature[] = []): JsonWays | undefined {
  return features.find((each): each is GraphQLFeature & JsonWays => each.kind === 'json')
}

function askedOf(call: Call, { text }: DocumentText, http: HttpGraphQLTransport): Asked {
  const { document } = call.operation.binding as GraphQLBinding
  const { operationName } = document
  const extensions = extensionsOf(call, http.idempotency)
  const json = jsonOf(featuresOf(call, http))
  const members = { query: text, operationName, variables: call.input, extensions }
  return { call, document, members, ...(json && { json }) }
}

/** A request that is sent as it is, under the name of its document: what a subscription asks with. */
export async function namedRequest(call: Call, http: HttpGraphQLTransport): Promise<Asked> {
  const { document } = call.operation.binding as GraphQLBinding
  return named(askedOf(call, await textOf(document, call), http), http)
}

/** A request under the name of its document, where the server has one for it. */
export function named(asked: Asked, http: HttpGraphQLTransport): Asked {
  return (
    featuresOf(asked.call, http)
      .find((each) => each.named)
      ?.named?.(asked) ?? asked
  )
}

/** The JSON of a request. @throws {CallError} `invalid_argument` where JSON cannot carry a member; it shows no value. */
export function bodyOf(asked: Asked): string {
  const written = Object.entries(asked.members).flatMap(([name, value]) =>
    value === undefined ? [] : [`${JSON.stringify(name)}:${memberOf(asked, name, value)}`],
  )
  return `{${written.join(',')}}`
}

/** The same for a socket, whose protocol knows no payload without `query`: servers close it for that. */
export function payloadOf(asked: Asked): string {
  return bodyOf({ ...asked, members: { query: '', ...asked.members } })
}

/** The JSON of one member of a request. @throws {CallError} `invalid_argument` */
function memberOf({ call, json }: Asked, name: string, value: unknown): string {
  const what = `the ${name}`
  return (name === 'variables' ? json?.write(value, what, call) : undefined) ?? stringifyJson(value, what, call)
}
