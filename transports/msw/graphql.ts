import type { OperationInfo } from '../../src/core/call/operation.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { isThenable } from '../../src/core/guard.ts'
import type { GraphQLBinding } from '../graphql/operation.ts'
import { headersOf, isResponse, jsonOf, reasonOf, statuses, tell, thrownFailure } from './error.ts'
import { type AnyResolver, type Asks, contextOf, httpHandler } from './http.ts'
import { urlPattern } from './pattern.ts'
import type { HttpHandler } from './peer-msw.ts'
import { bodyOf, iteratorOf, leavingWith, streamResponse } from './stream.ts'
import type { MockOptions } from './types.ts'

/** A request of GraphQL, over HTTP or a socket. */
export interface GraphQLRequest {
  readonly query?: unknown
  readonly operationName?: unknown
  readonly variables?: Record<string, unknown> | null
}

/** A query or mutation. */
export function mockGraphQL(info: OperationInfo, resolver: AnyResolver, options: MockOptions): HttpHandler {
  return httpHandler(info, asksBy(info, options), answer, options)
  async function answer(request: Request): Promise<Response> {
    const { variables } = (await requestOf(request)) as GraphQLRequest
    const context = contextOf(request, { input: variables ?? {} })
    const { headers, status } = context.reply
    let text: string
    try {
      const data = await resolver(context)
      if (isResponse(data)) return data
      text = jsonOf(resultOf(info, data))
    } catch (error) {
      if (isResponse(error)) return error
      const failure = thrownFailure(error)
      if (failure) for (const [name, value] of headersOf(failure)) headers.append(name, value)
      text = JSON.stringify({ data: null, errors: errorsOf(info, error) })
    }
    if (!headers.has('content-type')) headers.set('content-type', mediaType(request))
    return new Response(text, { status: context.reply.status || status || 200, headers })
  }
}

/** A subscription that is asked for as an event stream: *distinct connections* of graphql-sse. */
export function mockEventSubscription(info: OperationInfo, resolver: AnyResolver, options: MockOptions): HttpHandler {
  return httpHandler(info, asksBy(info, options), answer, options)
  async function answer(request: Request): Promise<Response> {
    const { variables } = (await requestOf(request)) as GraphQLRequest
    const lastEventId = request.headers.get('last-event-id') ?? undefined
    const left = leavingWith(request.signal)
    const context = { ...contextOf(request, { input: variables ?? {}, signal: left.signal }), lastEventId }
    const next = (result: unknown) => `event: next\ndata: ${jsonOf(result)}\n\n`
    const end = 'event: complete\ndata:\n\n'
    const fail = (error: unknown) => next({ data: null, errors: errorsOf(info, error) }) + end
    const { headers } = context.reply
    if (!headers.has('content-type')) headers.set('content-type', 'text/event-stream')
    try {
      const made = resolver(context)
      const messages = isThenable(made) ? await made : made
      if (isResponse(messages)) return messages
      const writer = { write: (data: unknown) => next(resultOf(info, data)), end, fail }
      const body = await bodyOf(iteratorOf(messages, info.name), writer, left)
      return streamResponse(body, { status: context.reply.status || 200, headers })
    } catch (error) {
      if (isResponse(error)) return error
      return new Response(fail(error), { headers })
    }
  }
}

/** What the message of an operation is in a result: its data, or, by the policy 'all', the result itself. */
export function resultOf({ binding }: OperationInfo, message: unknown): unknown {
  return (binding as GraphQLBinding).policy === 'all' ? message : { data: message }
}

/** Errors as a server lists them. What is no CallError is told to the tester, too. */
export function errorsOf({ name }: OperationInfo, error: unknown): readonly object[] {
  const failure = thrownFailure(error)
  if (!failure) tell(name, error)
  const said: Failure = failure ?? { code: 'internal', reason: 'INTERNAL_SERVER_ERROR', message: String(error) }
  const { message, details, code, violations } = said
  // A code that clients do not know, or that only this server does, is told by a status, as Apollo Server does.
  const extensions = { ...Object(details), http: { status: statuses[code] }, code: reasonOf(said) }
  // Each refused field is an error of its own.
  const refused = violations?.map(({ field, message }) => ({ message, path: field.split('.'), extensions }))
  return refused?.length ? refused : [{ message, extensions }]
}

/** Whether a request asks for this operation: by its name, or by its text where it has none. @throws {TypeError} */
export function asksFor({ binding, name }: OperationInfo): (request: GraphQLRequest | undefined) => boolean {
  const { operationName, source } = (binding as GraphQLBinding).document
  if (operationName === undefined && typeof source !== 'string')
    throw new TypeError(`the document of ${name} has no name that a request could be known by: give it one`)
  return (request) =>
    operationName === undefined ? request?.query === source : request?.operationName === operationName
}

function asksBy(info: OperationInfo, { baseUrl }: MockOptions): Asks {
  const isAsked = asksFor(info)
  // Where a base is given, it is the whole URL.
  const pattern = baseUrl === undefined ? undefined : urlPattern('', baseUrl)
  const wantsEvents = info.kind === 'server_stream'
  return async (request) => {
    if (pattern && !pattern.match(new URL(request.url))) return undefined
    const isStream = request.headers.get('accept')?.includes('text/event-stream') ?? false
    return isStream === wantsEvents && isAsked(await requestOf(request)) ? {} : undefined
  }
}

/** What a request asks: in the query of a GET, the JSON of a POST, or the part of a form that is named so. */
async function requestOf(request: Request): Promise<GraphQLRequest | undefined> {
  try {
    if (request.method === 'GET') return ofQuery(new URL(request.url).searchParams)
    if (request.method !== 'POST') return undefined
    const type = request.headers.get('content-type') ?? ''
    if (type.startsWith('multipart/form-data')) return ofForm(await request.clone().formData())
    return (await request.clone().json()) as GraphQLRequest
  } catch {
    return undefined
  }
}

function ofQuery(query: URLSearchParams): GraphQLRequest {
  const { variables, ...rest } = Object.fromEntries(query)
  return { ...rest, ...(variables !== undefined && { variables: JSON.parse(variables) }) }
}

/** GraphQL multipart request: files in their places among the variables. */
function ofForm(form: FormData): GraphQLRequest {
  const operation = JSON.parse(String(form.get('operations'))) as GraphQLRequest
  const map = JSON.parse(String(form.get('map'))) as Record<string, readonly string[]>
  for (const [key, paths] of Object.entries(map)) {
    for (const path of paths) {
      const names = path.split('.')
      const last = names.pop() as string
      const holder = names.reduce<any>((value, name) => value?.[name], operation)
      if (holder) holder[last] = form.get(key)
    }
  }
  return operation
}

function mediaType(request: Request): string {
  const own = 'application/graphql-response+json'
  return request.headers.get('accept')?.includes(own) ? own : 'application/json'
}
