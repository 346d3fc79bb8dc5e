import { createClient } from 'polywire'
import { describe, described } from 'polywire/openapi'
import { openapi, type QueryStyle, restTransport } from 'polywire/rest'
import { type DocumentOperation, deref, type Json, operationsOf } from './document.ts'
import type { OpenApiMock } from './mock-server.ts'
import { isNothing, kindOf, texts } from './parameters.ts'
import { Samples } from './samples.ts'

/** What was passed, by place. */
interface Passed {
  readonly path: Json
  readonly query: Json
  readonly header: Json
  readonly cookie: Json
  readonly body: unknown
  readonly contentType: string | undefined
}

/** One operation with an input, as the compiler lets it be declared. */
interface Case {
  readonly operation: DocumentOperation
  readonly passed: Passed
  readonly spec: Json
  readonly input: Json | undefined
}

/**
 * @param mode - `described`: with a description for run time; `typed`: what the types alone can say, nothing being known
 * at run time; undefined where the compiler refuses an operation in this mode.
 */
export function makeCase(
  document: Json,
  operation: DocumentOperation,
  samples: Samples,
  mode: 'described' | 'typed',
): Case | undefined {
  const passed = passedOf(document, operation, samples)
  const contents = Object.keys(contentOf(operation))
  const spec: Json = {}
  const isChosen = contents.length > 1 && !contents.includes('application/json') && !contents.includes('*/*')
  const isForm = passed.contentType !== undefined && !/^application\/json$|\*/.test(passed.contentType)
  if (isChosen || (mode === 'typed' && isForm)) spec.contentType = passed.contentType
  const isObject = isPlain(passed.body)
  const sets = [...declared(operation), possible(document, operation)]
  const isClashing = new Set(sets.flat()).size < sets.flat().length
  const hasSides = Object.keys({ ...passed.header, ...passed.cookie }).length > 0
  if (mode === 'typed' && Object.keys(passed.cookie).length > 0) return undefined
  // A field of a multipart form that is an object or a list needs a description.
  if (
    mode === 'typed' &&
    passed.contentType?.startsWith('multipart/') &&
    Object.values(Object(passed.body)).some((each) => isPlain(each) || Array.isArray(each))
  )
    return undefined
  // An empty body is sent where it was passed as one.
  const isEmpty = mode === 'typed' && isObject && Object.keys(passed.body as object).length === 0
  const isNested =
    isEmpty ||
    isClashing ||
    (contents.length > 0 && !isObjectBody(document, operation)) ||
    (mode === 'typed' && hasSides) ||
    isOpen(document, operation)
  if (isNested) {
    spec.shape = 'nested'
    const { path: params, query, header: headers, cookie: cookies, body } = passed
    const parts = Object.entries({ params, query, headers, cookies, body })
    // Of a part without names the types know nothing.
    const input = parts.filter(([part, value]) => part === 'body' || Object.keys(value as Json).length > 0)
    return { operation, passed, spec, input: Object.fromEntries(input) }
  }
  if (mode === 'typed' && operation.body && !['get', 'head'].includes(operation.method)) {
    if (!['post', 'put', 'patch'].includes(operation.method)) spec.body = '*'
  }
  if (mode === 'typed' && !['get', 'head', 'options'].includes(operation.method)) {
    const query = operation.parameters.filter((each) => each.in === 'query').map((each) => each.name)
    if (query.length > 0 && (operation.method !== 'delete' || operation.body)) spec.query = query
  }
  const { path, query, header, cookie, body } = passed
  return {
    operation,
    passed,
    spec,
    input: { ...path, ...query, ...header, ...cookie, ...(body as object | undefined) },
  }
}

const isPlain = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

const contentOf = ({ body, method }: DocumentOperation): Json =>
  method === 'get' || method === 'head' ? {} : (body?.content ?? {})

/** Names that types know, by place. */
function declared({ parameters }: DocumentOperation): string[][] {
  return ['path', 'query', 'header', 'cookie'].map((place) =>
    parameters.filter((each) => each.in === place).map((each) => each.name),
  )
}

function possible(document: Json, operation: DocumentOperation): string[] {
  const all = Object.values<Json>(contentOf(operation)).flatMap(({ schema }) =>
    Object.keys(propertiesOf(document, schema)),
  )
  return [...new Set(all)]
}

function propertiesOf(document: Json, given: Json | undefined): Json {
  const schema = deref(document, given)
  const parts: Json[] = [...(schema.allOf ?? []), ...(schema.oneOf ?? []), ...(schema.anyOf ?? [])]
  return Object.assign({}, ...parts.map((part) => propertiesOf(document, part)), schema.properties)
}

/** Whether the body that is sent has names. */
function isObjectBody(document: Json, operation: DocumentOperation): boolean {
  const content = contentOf(operation)
  const media = content['application/json'] ?? Object.values<Json>(content)[0]
  return kindOf(document, media?.schema) === 'object'
}

/** A body of any names may clash with any. */
function isOpen(document: Json, operation: DocumentOperation): boolean {
  return Object.values<Json>(contentOf(operation)).some(({ schema }) => {
    const { properties, additionalProperties } = deref(document, schema)
    return !properties && Boolean(additionalProperties)
  })
}

function passedOf(document: Json, operation: DocumentOperation, samples: Samples): Passed {
  const places: Record<string, Json> = { path: {}, query: {}, header: {}, cookie: {} }
  for (const { in: place, name, required, schema, content } of operation.parameters) {
    if (!required && samples.random() < 0.3) continue
    const isText = place === 'header' && deref(document, schema).type === 'string' && !deref(document, schema).enum
    const value = isText
      ? samples.text({}, true)
      : samples.value(schema ?? Object.values<Json>(content ?? {})[0]?.schema, 1)
    // Nothing of it would be on the wire.
    if (isNothing(value) && !required) continue
    ;(places[place] as Json)[name] = value
  }
  const content = contentOf(operation)
  const types = Object.keys(content)
  const [contentType] = types.includes('application/json') ? ['application/json'] : types
  const isPassed = contentType !== undefined && (operation.body?.required || samples.random() < 0.8)
  const body = isPassed ? bodyOf(document, contentType, content[contentType].schema, samples) : undefined
  return { ...(places as unknown as Passed), body, contentType }
}

function bodyOf(document: Json, contentType: string, schema: Json, samples: Samples): unknown {
  if (/octet-stream|^image/.test(contentType))
    return new TextEncoder().encode(String(samples.value({ type: 'string' })))
  const value = samples.value(schema)
  if (!contentType.startsWith('multipart/')) return value
  // Files.
  for (const [name, property] of Object.entries<Json>(deref(document, schema).properties ?? {}))
    if (property.format === 'binary' && name in Object(value))
      (value as Json)[name] = new TextEncoder().encode(`file ${name}`)
  return value
}

/** What a server must have read of it. */
function expected(document: Json, { operation, passed, spec }: Case): Json {
  const { path, query, header, cookie, body, contentType } = passed
  const isEmptyFlat =
    spec.shape !== 'nested' && isPlain(body) && Object.keys(body as object).length === 0 && !operation.body?.required
  return {
    operation: operation.name.replace(/#.*/, ''),
    path: texts(path),
    query: sent(document, operation, query),
    header: dropNothing(header),
    cookie: dropNothing(cookie),
    body: isEmptyFlat ? undefined : bodyExpected(document, body, contentType, operation),
  }
}

function bodyExpected(
  _document: Json,
  body: unknown,
  contentType: string | undefined,
  { body: described }: DocumentOperation,
): unknown {
  if (body === undefined) return undefined
  if (contentType === 'application/x-www-form-urlencoded') return dropNothing(body as Json)
  if (contentType?.startsWith('multipart/')) {
    const fields = Object.entries(body as Json).filter(([, value]) => !isNothing(value) || value instanceof Uint8Array)
    return Object.fromEntries(
      fields.map(([name, value]) => {
        const isStyled = described?.content[contentType].encoding?.[name]?.style !== undefined
        const isJson = typeof value === 'object' && !ArrayBuffer.isView(value) && !Array.isArray(value) && !isStyled
        return [name, isJson || ArrayBuffer.isView(value) ? value : texts(value)]
      }),
    )
  }
  return body
}

/** A list of one item, where a text might stand, too, is that text on the wire. */
function sent(document: Json, { parameters }: DocumentOperation, query: Json): Json {
  const entries = Object.entries(query).map(([name, value]) => {
    const parameter = parameters.find((each) => each.in === 'query' && each.name === name)
    const isText = Array.isArray(value) && value.length === 1 && kindOf(document, parameter?.schema) === 'either'
    return [name, isText && parameter?.style !== 'deepObject' ? value[0] : value]
  })
  return dropNothing(Object.fromEntries(entries))
}

const dropNothing = (values: Json): Json => texts(values) as Json

/** An answer that the description allows: its status, and what the body holds. */
function answerOf(document: Json, { responses }: DocumentOperation, samples: Samples, isError: boolean) {
  const statuses = Object.keys(responses)
  const fits = (status: string) => (isError ? /^[45]/ : /^2/).test(status)
  const chosen = statuses.filter(fits)
  const status = chosen.length > 0 ? samples.pick(chosen) : statuses.includes('default') ? 'default' : undefined
  if (status === undefined) return undefined
  const { content = {} } = deref(document, responses[status])
  const types = Object.keys(content)
  const contentType = types.find((type) => type === 'application/json') ?? types.find((type) => /json/.test(type))
  const message = contentType === undefined ? undefined : samples.value(content[contentType].schema)
  const code = /^\d+$/.test(status) ? Number(status) : isError ? (status === '5XX' ? 500 : 422) : 200
  const isEmpty = code === 204 || code === 205 || message === undefined
  return {
    status: code,
    message: isEmpty ? undefined : message,
    ...(!isEmpty && { contentType: contentType as string, body: JSON.stringify(message) }),
  }
}

/** A caller of a document's operations through the facade. */
function callerOf(document: Json, mode: 'described' | 'typed', url: string, queryStyle?: QueryStyle) {
  const client = createClient({ transports: { rest: restTransport({ baseUrl: url, queryStyle }) }, retry: false })
  const api = mode === 'described' ? openapi<any>({ description: described(describe(document)) }) : openapi<any>()
  return {
    client,
    call: ({ operation, spec, input }: Case) => {
      const build = (api as any)[operation.method]
      return client.bind({ call: build(operation.path, spec) }).call.reply(input as any) as Promise<any>
    },
  }
}

interface Exercise {
  readonly mode: 'described' | 'typed'
  readonly seed: number
  /** Of the transport: what types alone cannot say of each parameter. */
  readonly queryStyle?: QueryStyle | undefined
  /** Operations that the description describes wrongly. */
  readonly skip?: readonly string[] | undefined
  same(one: unknown, other: unknown): boolean
}

interface Judged {
  readonly calls: number
  readonly refused: number
  readonly failures: string[]
}

const isAsked = ({ passed }: Case, header: string): boolean =>
  Object.keys(passed.header).some((name) => name.toLowerCase() === header)

/** Calls every operation once, and says what was not as it must be. */
export async function exercise(
  document: Json,
  mock: OpenApiMock,
  { mode, seed, same, queryStyle, skip = [] }: Exercise,
): Promise<Judged> {
  const samples = new Samples(document, seed)
  const { client, call } = callerOf(document, mode, mock.url, queryStyle)
  const failures: string[] = []
  let calls = 0
  let refused = 0
  for (const operation of operationsOf(document).filter(({ name }) => !skip.includes(name))) {
    const made = makeCase(document, operation, samples, mode)
    if (!made) {
      refused++
      continue
    }
    const isError = samples.random() < 0.2
    const answer = answerOf(document, operation, samples, isError) ?? { status: 204, message: undefined }
    mock.answer(answer)
    calls++
    const say = (what: string) => failures.push(`${operation.name} ${JSON.stringify(made.spec)}: ${what}`)
    try {
      const reply = await call(made)
      if (answer.status >= 400) say(`no error of status ${answer.status}`)
      if (reply.status !== answer.status) say(`status ${reply.status}`)
      if (operation.method !== 'head' && !same(reply.message, answer.message))
        say(`another message: ${JSON.stringify(reply.message)} for ${JSON.stringify(answer)}`)
    } catch (error) {
      const { status, body, message } = error as { status?: number; body?: unknown; message: string }
      if (answer.status < 400 || status !== answer.status)
        say(`${message} ${JSON.stringify(body)} for ${JSON.stringify(made.input)}`)
      else if (answer.message !== undefined && !same(body, answer.message))
        say(`another error body: ${JSON.stringify(body)} for ${JSON.stringify(answer)}`)
      if (status === undefined) continue
    }
    const { contentType: _, ...last } = mock.last
    const read: Json = { ...last, operation: last.operation.replace(/#.*/, '') }
    // It comes with every POST.
    if (!isAsked(made, 'idempotency-key')) delete read.header['Idempotency-Key']
    const wanted = expected(document, made)
    // Which of the operations of one URL it is, no server can tell.
    if (/#|\{base\}\.\.\.\{head\}/.test(operation.path)) continue
    if (!same(read, wanted)) say(`read ${JSON.stringify(read)}, passed ${JSON.stringify(wanted)}`)
  }
  await client.close()
  return { calls, refused, failures }
}
