import { percentDecoded } from '../../src/core/call/percent.ts'
import type { Description, OperationDescription, ParameterStyle, ParameterStyles } from '../rest/openapi-description.ts'

type Json = Record<string, any>
const methods = ['get', 'put', 'post', 'delete', 'patch', 'head', 'options'] as const
/** Methods whose input goes to the body unless something else is said. */
const bodied: readonly string[] = ['put', 'post', 'patch']

/**
 * Makes what `described()` takes from a document of OpenAPI 3: where parameters stand and how they are
 * written, and the media types of bodies. Operations for which the rules of their method hold are left out.
 *
 * @param document - as JSON has it; read YAML first.
 * @throws {TypeError} where it is no document of OpenAPI 3, or a reference leads nowhere.
 * @example
 * writeFileSync('api.wire.json', JSON.stringify(describe(JSON.parse(readFileSync('openapi.json', 'utf8')))))
 */
export function describe(document: object): Description {
  const { openapi, swagger, paths = {} } = Object(document) as Json
  if (typeof openapi !== 'string' || !openapi.startsWith('3.'))
    throw new TypeError(
      `describe() takes a document of OpenAPI 3${swagger === undefined ? '' : `, and this is Swagger ${swagger}: convert it first`}`,
    )
  const description: Record<string, OperationDescription> = {}
  for (const [path, given] of Object.entries<Json>(paths ?? {})) {
    const item = (resolve(document, given) ?? {}) as Json
    for (const method of methods) {
      if (!item[method]) continue
      const name = `${method.toUpperCase()} ${path}`
      const operation = named(name, () => describeOperation(document, method, item, item[method]))
      if (Object.keys(operation).length > 0) description[name] = operation
    }
  }
  return description
}

/** What stands elsewhere than OpenAPI has it is told with the operation that it is a part of. */
function named<T>(operation: string, make: () => T): T {
  try {
    return make()
  } catch (cause) {
    const { message } = cause as Error
    if (message.startsWith('describe()')) throw cause
    throw new TypeError(`describe(): '${operation}' is not written as OpenAPI 3 says: ${message}`, { cause })
  }
}

/** What a reference leads to, through any number of them. */
function resolve(document: object, value: unknown): unknown {
  let at = value
  for (let steps = 0; typeof (at as Json | undefined)?.$ref === 'string'; steps++) {
    const { $ref } = at as { readonly $ref: string }
    if (!$ref.startsWith('#/') || steps > 32)
      throw new TypeError(`describe() cannot follow '${$ref}': bundle the document`)
    at = $ref
      .slice(2)
      .split('/')
      .reduce<any>((inside, key) => inside?.[percentDecoded(key).replaceAll('~1', '/').replaceAll('~0', '~')], document)
    if (at === undefined) throw new TypeError(`describe(): '${$ref}' leads nowhere`)
  }
  return at
}

function describeOperation(document: object, method: string, item: Json, operation: Json): OperationDescription {
  const body = bodyOf(document, method, operation)
  const hasBody = body !== undefined || bodied.includes(method)
  const places: Record<string, Record<string, ParameterStyle>> = {}
  for (const parameter of parametersOf(document, item, operation)) {
    const { in: place, name } = parameter
    const style = styleOf(document, parameter)
    const isPlain = style === (place === 'path' ? 'simple' : 'form') && !isComposite(document, parameter.schema)
    if (isPlain && (place === 'path' || (place === 'query' && !hasBody))) continue
    places[place] ??= {}
    places[place][name] = style
  }
  const content = body && mediaTypesOf(document, method, body)
  return { ...places, ...content }
}

/** What no client sends, or what is described to be empty, is none. */
function bodyOf(document: object, method: string, { requestBody }: Json): Json | undefined {
  const body = resolve(document, requestBody) as Json | undefined
  if (!body || method === 'get' || method === 'head') return undefined
  const isEmpty = Object.values<Json>(body.content ?? {}).every(({ schema }) => {
    const { type, properties = {}, additionalProperties } = (resolve(document, schema) ?? {}) as Json
    return type === 'object' && Object.keys(properties).length === 0 && additionalProperties === false
  })
  return isEmpty && !body.required ? undefined : body
}

/** Those of the path and of the operation, whose own win. */
function parametersOf(document: object, item: Json, operation: Json): Json[] {
  const all = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map(
    (parameter) => resolve(document, parameter) as Json,
  )
  const known = all.filter(({ in: place }) => ['path', 'query', 'header', 'cookie'].includes(place))
  return [...new Map(known.map((parameter) => [`${parameter.in} ${parameter.name}`, parameter])).values()]
}

function styleOf(document: object, parameter: Json): ParameterStyle {
  const { in: place, content } = parameter
  if (content)
    return Object.keys(content).some((type) => /json/.test(type)) ? 'json' : place === 'header' ? 'simple' : 'form'
  const usual = place === 'path' || place === 'header' ? 'simple' : 'form'
  return compact(parameter, parameter.style ?? usual, resolve(document, parameter.schema) as Json | undefined)
}

/** The name of the style, unless something about it is not as usual. */
function compact(
  { explode, allowReserved, contentType }: Json,
  style: string,
  schema: Json | undefined,
): ParameterStyle {
  const usually = style === 'form' || style === 'cookie'
  // Alone, a text or a number is written the same either way.
  const isScalar = schema !== undefined && /^(?:string|number|integer|boolean)$/.test(String(schema.type))
  const isOdd = explode !== undefined && explode !== usually && style !== 'deepObject' && !isScalar
  if (!isOdd && !allowReserved && contentType === undefined) return style
  return {
    style,
    ...(isOdd && { explode }),
    ...(allowReserved && { allowReserved }),
    ...(contentType !== undefined && { contentType }),
  }
}

/** Whether a value may be a list or an object; where nothing is said it may. */
function isComposite(document: object, schema: unknown, known: Known = new Map()): boolean {
  return once(resolve(document, schema), known, ({ type, enum: values, oneOf, anyOf, allOf }) => {
    if (type !== undefined) return [type].flat().some((each) => each === 'array' || each === 'object')
    if (Array.isArray(values)) return values.some((value) => typeof value === 'object' && value !== null)
    const either = oneOf ?? anyOf ?? allOf
    return either === undefined || either.some((each: unknown) => isComposite(document, each, known))
  })
}

/** What is known of schemas that were looked at: they refer to each other, and to themselves. */
type Known = Map<unknown, boolean>

function once(schema: unknown, known: Known, look: (schema: Json) => boolean): boolean {
  const before = known.get(schema)
  if (before !== undefined) return before
  if (typeof schema !== 'object' || schema === null) return look({})
  known.set(schema, false)
  const found = look(schema)
  known.set(schema, found)
  return found
}

const isForm = (mediaType: string): boolean =>
  /^(?:multipart\/form-data|application\/x-www-form-urlencoded)\b/.test(mediaType)

function mediaTypesOf(
  document: object,
  method: string,
  body: Json,
): Pick<OperationDescription, 'body' | 'isBodyRequired'> {
  const content = Object.entries<Json>(body.content ?? {})
  // JSON first: that is what is sent where nothing is chosen.
  const ordered = content.sort(([one], [other]) => rank(one) - rank(other))
  const [first] = ordered[0] ?? []
  const isUsual =
    bodied.includes(method) && (first === undefined || rank(first) === 0) && !content.some(([type]) => isForm(type))
  const needsNothing = body.required === true && ordered.some(([, { schema }]) => !hasRequired(document, schema))
  return {
    ...(!isUsual && {
      body: Object.fromEntries(ordered.map(([type, media]) => [type, fieldsOf(document, type, media)])),
    }),
    ...(needsNothing && { isBodyRequired: true }),
  }
}

const rank = (mediaType: string): number => (mediaType === 'application/json' ? 0 : mediaType.includes('*') ? 1 : 2)

/** Whether an object cannot be empty. */
function hasRequired(document: object, schema: unknown, known: Known = new Map()): boolean {
  return once(resolve(document, schema), known, ({ required, allOf, oneOf, anyOf }) => {
    if (Array.isArray(required) && required.length > 0) return true
    const each = (part: unknown) => hasRequired(document, part, known)
    return Boolean(allOf?.some(each) || oneOf?.every(each) || anyOf?.every(each))
  })
}

function fieldsOf(document: object, mediaType: string, { schema, encoding = {} }: Json): ParameterStyles {
  if (!isForm(mediaType)) return {}
  const { properties = {} } = (resolve(document, schema) ?? {}) as Json
  return Object.fromEntries(
    Object.entries<Json>(encoding).map(([name, each]) => {
      const isStyled = each.style !== undefined || each.explode !== undefined || each.allowReserved !== undefined
      if (!isStyled) return [name, { contentType: each.contentType }]
      return [name, compact(each, each.style ?? 'form', resolve(document, properties[name]) as Json | undefined)]
    }),
  )
}
