import type { Check } from '../../src/core/call/operation.ts'
import { snapshot } from '../../src/core/call/snapshot.ts'
import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { isObject, isRecord } from '../../src/core/tag.ts'
import { inputReader, type ReadInput, type RequestInput } from '../http/input.ts'
import { PathTemplate } from '../http/path.ts'
import { encodeQuery, isSearchParams, joinQuery } from '../http/query.ts'
import { writeDescribedBody } from './form-styles.ts'
import type { Description, OperationDescription, ParameterStyles } from './openapi-description.ts'
import type { RequestWriter } from './operation.ts'
import {
  type Parameter,
  type Place,
  readParameter,
  writeCookieParameter,
  writeHeaderParameter,
  writePathParameter,
  writeQueryParameter,
} from './parameter-styles.ts'

/** A description for run time, as `openapi()` takes it. */
export interface Described {
  /** How the requests of an operation are written, for `openapi()`; undefined where the rules of its method do. */
  writerOf(method: string, path: string, spec: object): object | undefined
}

/** What a declaration says that bears on how its input is read. */
interface DescribedSpec {
  readonly shape?: 'flat' | 'nested'
  readonly via?: string
}

type Values = Readonly<Record<string, unknown>>
type Parameters = ReadonlyMap<string, Parameter>

const members: readonly string[] = ['path', 'query', 'header', 'cookie', 'body', 'isBodyRequired']

/**
 * Makes the run-time half of a description for `openapi()`: where parameters stand and how they are written, the media
 * types of bodies. It is checked operation by operation, when one is declared.
 *
 * @param description - what `describe()` has made, or the same by hand.
 * @throws {TypeError} where it is no object.
 * @example
 * import api from './api.wire.json' with { type: 'json' }
 * const shop = openapi<paths>({ description: described(api) })
 */
export function described(description: Description): Described {
  if (!isRecord(description)) throw new TypeError(`described() takes what describe() makes: { 'GET /orders': { … } }`)
  return {
    writerOf(method, path, spec) {
      const key = `${method} ${path}`
      if (!Object.hasOwn(description, key)) return undefined
      try {
        return makeWriter(method, path, description[key] as OperationDescription, spec as DescribedSpec)
      } catch (error) {
        throw new TypeError(`the description of '${key}': ${(error as Error).message}`)
      }
    },
  }
}

function parametersOf(place: Place, styles: ParameterStyles = {}): Parameters {
  if (!isObject(styles)) throw new TypeError(`${place} is an object of styles by name`)
  return new Map(Object.entries(styles).map(([name, style]) => [name, readParameter(name, place, style)]))
}

function makeWriter(
  method: string,
  path: string,
  of: OperationDescription,
  { shape, via = 'rest' }: DescribedSpec,
): RequestWriter {
  const unknown = isObject(of) ? Object.keys(of).find((name) => !members.includes(name)) : ''
  if (unknown !== undefined) throw new TypeError(`it holds ${members.join(', ')}${unknown && `, and no '${unknown}'`}`)
  const query = parametersOf('query', of.query)
  const inPath = parametersOf('path', of.path)
  const writers = [...inPath.values()].map((parameter) => [
    parameter.name,
    (value: unknown, origin: ErrorOrigin | undefined) => writePathParameter(parameter, value, origin),
  ])
  const template = new PathTemplate(path.replace(/#.*/, ''), Object.fromEntries(writers))
  const origin: ErrorOrigin = { operation: { name: `${method} ${path}`, protocol: 'rest', via } }
  const [mediaType] = Object.keys(of.body ?? {})
  const read = inputReader(
    method,
    template.names,
    shape === 'nested' ? { shape } : { query: [...query.keys()], body: of.body && '*' },
    origin,
  )
  return {
    template,
    contentType: mediaType?.includes('*') ? undefined : mediaType,
    encodeInput: inputOf(read, { of, isNested: shape === 'nested', inPath }, origin),
    writeQuery: query.size > 0 ? queryWriter(query) : undefined,
    writeBody: of.body && writeDescribedBody(of.body),
  }
}

interface Reading {
  readonly of: OperationDescription
  readonly isNested: boolean
  readonly inPath: Parameters
}

/** Takes headers and cookies out of the input, and gives the rest to the reader of every operation. */
function inputOf(read: ReadInput, { of, isNested, inPath }: Reading, origin: ErrorOrigin): ReadInput {
  const headers = new Map([...parametersOf('header', of.header)].map(([name, each]) => [name.toLowerCase(), each]))
  const cookies = parametersOf('cookie', of.cookie)
  const hasSides = headers.size + cookies.size > 0

  const finish = (made: RequestInput, headerValues: Values | undefined, cookieValues: Values | undefined) => {
    if (headerValues || cookieValues) made.headers = writeHeaders(headerValues ?? {}, cookieValues ?? {})
    // Texts cannot change; what is taken apart when it is sent can.
    for (const name of inPath.keys()) (made.params as Record<string, unknown>)[name] = snapshot(made.params[name])
    if (of.isBodyRequired && made.body === undefined && !isNested) made.body = {}
    return made
  }
  const writeHeaders = (headerValues: Values, cookieValues: Values): Values => {
    const written: Record<string, unknown> = {}
    for (const [name, value] of Object.entries(headerValues)) {
      const parameter = headers.get(name.toLowerCase())
      const text = parameter ? writeHeaderParameter(parameter, value, origin) : value
      if (text !== undefined) written[name.toLowerCase()] = text
    }
    const pairs = Object.entries(cookieValues)
      .map(([name, value]) =>
        writeCookieParameter(cookies.get(name) ?? readParameter(name, 'cookie', 'form'), value, origin),
      )
      .filter((pair) => pair !== '')
    if (pairs.length > 0) {
      if ('document' in globalThis) throw refusal('a page cannot set cookies of a request: the browser does', origin)
      written.cookie = [written.cookie, ...pairs].filter((each) => each !== undefined).join('; ')
    }
    return written
  }

  const nested = (input: unknown, check: Check) => {
    const { headers, cookies } = (input ?? {}) as { readonly headers?: Values; readonly cookies?: Values }
    return then(read(input, check), (made) => finish(made, headers, cookies))
  }
  const flat = (input: unknown, check: Check) => {
    if (!hasSides || !isRecord(input)) return then(read(input, check), (made) => finish(made, undefined, undefined))
    const headerValues: Record<string, unknown> = {}
    const cookieValues: Record<string, unknown> = {}
    const rest: Record<string, unknown> = {}
    for (const [name, value] of Object.entries(input)) {
      const into = headers.has(name.toLowerCase()) ? headerValues : cookies.has(name) ? cookieValues : rest
      Object.defineProperty(into, name, { value, enumerable: true, configurable: true, writable: true })
    }
    return then(read(rest, check), (made) => finish(made, headerValues, cookieValues))
  }
  return isNested ? nested : flat
}

function then(
  made: RequestInput | Promise<RequestInput>,
  go: (made: RequestInput) => RequestInput,
): RequestInput | Promise<RequestInput> {
  return made instanceof Promise ? made.then(go) : go(made)
}

/** A query whose parameters are written in their own styles; what is not described as in every query. */
function queryWriter(parameters: Parameters): typeof encodeQuery {
  return (values, style, origin, what) => {
    if (isSearchParams(values)) return encodeQuery(values, style, origin, what)
    let query = ''
    for (const [name, value] of Object.entries(values)) {
      const parameter = parameters.get(name)
      query = joinQuery(
        query,
        parameter
          ? writeQueryParameter(parameter, value, style, origin).slice(1)
          : encodeQuery({ [name]: value }, style, origin, what),
      )
    }
    return query
  }
}
