import type { OperationInfo } from '../../src/core/call/operation.ts'
import { isThenable } from '../../src/core/guard.ts'
import { tagOf } from '../../src/core/tag.ts'
import type { RestBinding } from '../rest/operation.ts'
import type { SseBinding } from '../sse/operation.ts'
import { errorResponse, isResponse, jsonOf, tell, thrownFailure } from './error.ts'
import { type AnyResolver, byUrl, contextOf, httpHandler } from './http.ts'
import { urlPattern } from './pattern.ts'
import type { HttpHandler } from './peer-msw.ts'
import { isMembers, readBody, readQuery } from './request.ts'
import { bodyOf, iteratorOf, leavingWith, streamResponse } from './stream.ts'
import type { MockContext, MockOptions, MockReply } from './types.ts'

/** The path of an operation, which its name ends with: `GET /users/{id}`. */
const pathOf = ({ name }: OperationInfo): string => name.slice(name.indexOf(' ') + 1)

/** What the call was made with, in the shape of the operation. */
async function partsOf(info: OperationInfo, request: Request, params: Record<string, string>) {
  const { spec } = info.binding as RestBinding & { readonly spec?: { readonly shape?: string } }
  const isNested = spec ? spec.shape === 'nested' : info.headersOf !== undefined
  const query = readQuery(new URL(request.url).searchParams)
  const body = await readBody(request)
  const members = body === undefined || isMembers(body) ? { ...query, ...body, ...params } : body
  const input = isNested ? { params, query, headers: Object.fromEntries(request.headers), body } : members
  return { input, params, query, body: body as never }
}

/** A unary operation of REST. */
export function mockRest(info: OperationInfo, resolver: AnyResolver, options: MockOptions): HttpHandler {
  const binding = info.binding as RestBinding
  const answer = async (request: Request, params: Record<string, string>) => {
    const context = contextOf(request, await partsOf(info, request, params))
    return answered(context, async () => {
      const message = await resolver(context)
      return isResponse(message) ? message : messageResponse(message, binding, context.reply)
    })
  }
  return httpHandler(info, byUrl(binding.method, urlPattern(pathOf(info), options.baseUrl)), answer, options)
}

/** What a handler throws is an answer, too; what is none goes to msw, which tells it and answers 500. */
async function answered({ reply }: Pick<MockContext<any>, 'reply'>, make: () => Promise<Response>): Promise<Response> {
  try {
    return await make()
  } catch (error) {
    const failure = thrownFailure(error)
    if (failure) return errorResponse(failure, reply.headers)
    throw error
  }
}

/** A message as its operation reads it. */
function messageResponse(message: unknown, { reads, method }: RestBinding, reply: MockReply): Response {
  const isEmpty = message === undefined || method === 'HEAD'
  const status = reply.status || (message === undefined && method !== 'HEAD' ? 204 : 200)
  const raw = isEmpty ? undefined : rawBody(message, reads)
  const { headers } = reply
  if (!isEmpty && !headers.has('content-type')) headers.set('content-type', raw?.type ?? 'application/json')
  const body = isEmpty ? null : (raw?.body ?? jsonOf(message))
  return new Response(body, { status, headers })
}

/** Of what is no JSON. */
function rawBody(message: unknown, reads: RestBinding['reads']): { body: BodyInit; type: string } | undefined {
  if (reads === 'json') return undefined
  if (reads === 'text') return { body: String(message), type: 'text/plain' }
  const isBytes = ArrayBuffer.isView(message) || /^(?:ArrayBuffer|Blob|File|ReadableStream)$/.test(tagOf(message))
  return isBytes ? { body: message as BodyInit, type: 'application/octet-stream' } : undefined
}

/** What a stream over HTTP is written as. */
interface Format {
  readonly type: string
  readonly write: (message: unknown) => string
}

/** Event streams, and streams of lines. */
export function mockHttpStream(info: OperationInfo, resolver: AnyResolver, options: MockOptions): HttpHandler {
  const { method, open, reopenMethod } = info.binding as RestBinding & SseBinding
  if (info.protocol === 'sse' && (open || !(info.binding as SseBinding).reader))
    throw new TypeError(`mockStream(${info.name}): only streams that events() has declared can be mocked`)
  const format = info.protocol === 'sse' ? eventFormat(info.binding as SseBinding) : lineFormat
  const { match } = urlPattern(pathOf(info), options.baseUrl)
  const asks = (request: Request) =>
    [method, reopenMethod].includes(request.method as 'GET') ? match(new URL(request.url)) : undefined
  const answer = async (request: Request, params: Record<string, string>) => {
    const lastEventId = request.headers.get('last-event-id') ?? undefined
    const left = leavingWith(request.signal)
    const parts = await partsOf(info, request, params)
    const context = { ...contextOf(request, { ...parts, signal: left.signal }), lastEventId }
    return answered(context, async () => {
      const made = resolver(context)
      const messages = isThenable(made) ? await made : made
      if (isResponse(messages)) return messages
      const { headers, status } = context.reply
      const writer = { write: format.write, fail: (error: unknown) => failed(info.name, error) }
      const body = await bodyOf(iteratorOf(messages, info.name), writer, left)
      if (!headers.has('content-type')) headers.set('content-type', format.type)
      return streamResponse(body, { status: status || 200, headers })
    })
  }
  return httpHandler(info, asks, answer, options)
}

/** The head is out: what fails now can only break the connection. */
function failed(name: string, error: unknown): undefined {
  if (!thrownFailure(error)) tell(name, error)
}

const lineFormat: Format = {
  type: 'application/jsonl',
  write: (message) => `${jsonOf(message)}\n`,
}

/** An event of a stream, its data as the operation reads it: as JSON, or as it is. */
function eventFormat({ reader }: SseBinding): Format {
  const write = (message: unknown) => {
    const { type, data, id, retry } = message as { type: string; data: unknown; id?: unknown; retry?: number }
    const probe = reader.read(type, '""', undefined) as { readonly data?: unknown } | undefined
    const text = probe?.data === '""' ? String(data) : data === undefined ? '' : jsonOf(data)
    const lines = [
      type !== 'message' && `event: ${type}`,
      id !== undefined && `id: ${id}`,
      retry !== undefined && `retry: ${retry}`,
      ...text.split(/\r\n|[\r\n]/).map((line) => `data: ${line}`),
    ]
    return `${lines.filter((line) => line !== false).join('\n')}\n\n`
  }
  return { type: 'text/event-stream', write }
}
