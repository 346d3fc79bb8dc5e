import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type DocumentOperation, deref, type Json, operationsOf } from './document.ts'
import { type RawPair, rawPairs, readCookie, readHeader, readPath, readStyled, type Texts } from './parameters.ts'
import { coerce, faultOf } from './schema.ts'

/** A request as a server reads it by the description. */
export interface ReadRequest {
  readonly operation: string
  readonly path: Record<string, Texts>
  readonly query: Record<string, Texts>
  readonly header: Record<string, Texts>
  readonly cookie: Record<string, Texts>
  readonly contentType: string | undefined
  /** JSON as it is, forms as texts, anything else as bytes. */
  readonly body: unknown
}

export interface MockAnswer {
  readonly status: number
  readonly contentType?: string | undefined
  readonly body?: string | Uint8Array
}

/** A server that reads every request by a description, and refuses what does not follow it. */
export interface OpenApiMock extends AsyncDisposable {
  readonly url: string
  readonly last: ReadRequest
  /** What the next request is answered with, where it is right. */
  answer(answer: MockAnswer): void
}

interface Route {
  readonly operation: DocumentOperation
  readonly pattern: RegExp
  readonly names: readonly string[]
}

/** Starts one; close it by `await using`. */
export async function startOpenApiMock(document: Json): Promise<OpenApiMock> {
  const routes = routesOf(document)
  let last: ReadRequest | undefined
  let next: MockAnswer = { status: 204 }
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const faults: string[] = []
    try {
      last = await readAsAny(document, routes, request, Buffer.concat(chunks), faults)
    } catch (error) {
      faults.push(String(error))
    }
    if (faults.length > 0) return send(response, { status: 400, body: faults.join('; '), contentType: 'text/plain' })
    send(response, next)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get last() {
      if (!last) throw new Error('nothing was asked')
      return last
    },
    answer(answer) {
      next = answer
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function send(response: ServerResponse, { status, contentType, body }: MockAnswer): void {
  response.writeHead(status, contentType === undefined ? {} : { 'content-type': contentType }).end(body)
}

function routesOf(document: Json): Route[] {
  const escaped = (text: string) => text.replace(/[.*+?^$()|[\]\\]/g, '\\$&')
  return operationsOf(document)
    .map((operation): Route => {
      const parts = operation.path.replace(/#.*/, '').split(/\{([^}]+)\}/)
      const source = parts.map((part, index) => (index % 2 ? '([^/]*?)' : escaped(part))).join('')
      return { operation, pattern: new RegExp(`^${source}$`), names: parts.filter((_, index) => index % 2) }
    })
    .sort((one, other) => one.names.length - other.names.length)
}

/** By the most specific route; operations of one path that a fragment tells apart are tried in turn. */
async function readAsAny(
  document: Json,
  routes: readonly Route[],
  request: IncomingMessage,
  bytes: Buffer,
  faults: string[],
): Promise<ReadRequest> {
  const { method = '', url = '' } = request
  const [path = ''] = url.split('?')
  const fitting = routes.filter(
    ({ operation, pattern }) => operation.method === method.toLowerCase() && pattern.test(path),
  )
  const [first] = fitting
  if (!first) throw new Error(`no operation is at ${method} ${path}`)
  const tries: { readonly read: ReadRequest; readonly own: string[] }[] = []
  for (const route of fitting.filter(({ pattern }) => pattern.source === first.pattern.source)) {
    const own: string[] = []
    const read = await readAs(document, route, request, bytes, own)
    if (own.length === 0) return read
    tries.push({ read, own })
  }
  const [{ read, own }] = tries as [(typeof tries)[0]]
  faults.push(...own)
  return read
}

async function readAs(
  document: Json,
  route: Route,
  { url = '', headers }: IncomingMessage,
  bytes: Buffer,
  faults: string[],
): Promise<ReadRequest> {
  const [path = '', ...queries] = url.split('?')
  const query = queries.join('?')
  const { operation, names } = route
  const segments = route.pattern.exec(path)?.slice(1) ?? []
  const pairs = new Set(rawPairs(query))
  const cookies = new Set(rawPairs((headers.cookie ?? '').replaceAll('; ', '&')))
  const found: Record<string, Record<string, Texts>> = { path: {}, query: {}, header: {}, cookie: {} }
  // What is named takes its own before what takes the rest.
  const last = (each: Json): number => (deref(document, each.schema).properties || each.explode === undefined ? 0 : 1)
  for (const parameter of [...operation.parameters].sort((one, other) => last(other) - last(one))) {
    const { name, in: place, required, schema } = parameter
    const header = headers[name.toLowerCase()]
    const value =
      place === 'path'
        ? readPath(document, parameter, segments[names.indexOf(name)] as string)
        : place === 'query'
          ? readStyled(document, name, parameter, pairs)
          : place === 'cookie'
            ? readCookie(document, parameter, cookies)
            : typeof header === 'string'
              ? readHeader(document, parameter, header)
              : undefined
    if (value === undefined && required) faults.push(`the ${place} parameter '${name}' is missing`)
    if (value === undefined) continue
    ;(found[place] as Record<string, Texts>)[name] = value
    const fault = schema && faultOf(document, schema, coerce(document, schema, value))
    if (fault) faults.push(`the ${place} parameter '${name}': ${fault}`)
  }
  for (const [key] of pairs) faults.push(`the query parameter '${key}' is not described`)
  for (const [key] of cookies) faults.push(`the cookie '${key}' is not described`)
  const contentType = headers['content-type']
  const body = await readBody(document, operation, contentType, bytes, faults)
  return {
    operation: operation.name,
    ...(found as Pick<ReadRequest, 'path' | 'query' | 'header' | 'cookie'>),
    contentType,
    body,
  }
}

async function readBody(
  document: Json,
  { body, method }: DocumentOperation,
  contentType: string | undefined,
  bytes: Buffer,
  faults: string[],
): Promise<unknown> {
  if (contentType === undefined) {
    if (bytes.length > 0) faults.push('the body has no content type')
    if (body?.required && method !== 'get') faults.push('the body is missing')
    return undefined
  }
  const essence = contentType.split(';')[0] as string
  const media = body?.content[essence] ?? body?.content['*/*'] ?? body?.content['application/*']
  if (!media) {
    faults.push(`no body of type ${essence} is described`)
    return undefined
  }
  if (/json$|^\*/.test(essence)) {
    const value = JSON.parse(bytes.toString('utf8'))
    const fault = faultOf(document, media.schema, value)
    if (fault) faults.push(`the body: ${fault}`)
    return value
  }
  if (essence === 'application/x-www-form-urlencoded') {
    const pairs = new Set(rawPairs(bytes.toString('utf8')))
    const form = readForm(document, media, pairs)
    for (const [key] of pairs) faults.push(`the field '${key}' is not described`)
    const fault = faultOf(document, media.schema, coerce(document, media.schema, form))
    if (fault) faults.push(`the form: ${fault}`)
    return form
  }
  if (essence === 'multipart/form-data') return readMultipart(document, media, contentType, bytes)
  return essence.startsWith('text/') ? bytes.toString('utf8') : new Uint8Array(bytes)
}

function propertiesOf(document: Json, given: Json | undefined): Record<string, Json> {
  const schema = deref(document, given)
  const parts: Json[] = [...(schema.allOf ?? []), ...(schema.oneOf ?? []), ...(schema.anyOf ?? [])]
  return Object.assign({}, ...parts.map((part) => propertiesOf(document, part)), schema.properties)
}

function readForm(document: Json, { schema, encoding = {} }: Json, pairs: Set<RawPair>): Record<string, Texts> {
  const form: Record<string, Texts> = {}
  for (const [name, property] of Object.entries(propertiesOf(document, schema))) {
    const { style, explode, contentType } = encoding[name] ?? {}
    const isStyled = style !== undefined || explode !== undefined
    const type = deref(document, property).type
    const isJson = !isStyled && (contentType?.includes('json') || type === 'object')
    const parameter = isJson ? { content: {}, schema: property } : { style, explode, schema: property }
    const value = readStyled(document, name, parameter, pairs)
    if (value !== undefined) form[name] = value
  }
  return form
}

/** Files as their bytes, JSON as what it holds, a name that is there again as a list. */
async function readMultipart(
  document: Json,
  { schema, encoding = {} }: Json,
  contentType: string,
  bytes: Buffer,
): Promise<unknown> {
  const form = await new Response(new Uint8Array(bytes), { headers: { 'content-type': contentType } }).formData()
  const properties = propertiesOf(document, schema)
  const styled = new Set<RawPair>()
  const read: Record<string, any> = {}
  for (const [name, value] of form) {
    const [field = ''] = name.split('[')
    if (typeof value === 'string' && encoding[field]?.style) {
      styled.add([encodeURIComponent(name), encodeURIComponent(value)])
      continue
    }
    const part =
      typeof value === 'string'
        ? properties[name] && deref(document, properties[name]).type === 'object'
          ? JSON.parse(value)
          : value
        : value.type === 'application/json'
          ? JSON.parse(await value.text())
          : new Uint8Array(await value.arrayBuffer())
    read[name] = deref(document, properties[name]).type === 'array' ? [...(read[name] ?? []), part] : part
  }
  for (const [name, each] of Object.entries<Json>(encoding))
    if (each.style) {
      const value = readStyled(document, name, { ...each, schema: properties[name] }, styled)
      if (value !== undefined) read[name] = value
    }
  return read
}
