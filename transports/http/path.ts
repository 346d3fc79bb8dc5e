import type { Call } from '../../src/core/call/call.ts'
import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import type { BaseUrl } from '../shared/base-url.ts'
import type { HttpRequest } from './contract.ts'
import { encodeQuery, joinQuery } from './query.ts'

/** What the URL of a request is made of: a path behind the base URL, or what puts the request somewhere else. */
export interface UrlTemplate extends Pick<PathTemplate, 'hasQuery' | 'fill'> {
  place?(request: HttpRequest, call: Call): HttpRequest
}

/** Writes the values of some names of a path, encoded. */
export type PathWriters = Readonly<Record<string, (value: unknown, origin: ErrorOrigin | undefined) => string>>

/** Needs no encoding, and is no dot segment. */
const plain = /^[\w~-]+$/
/** What a URL parser removes together with the segment before it, however it is written. */
const dots = /^(?:\.|%2e){1,2}$/i
/** Control characters and lone surrogates. */
const unfit = /[\p{Cc}\p{Cs}]/u
/**
 * All that must not stand in a template: it would end the path, or be rewritten by a URL parser; or is a placeholder as
 * Express (`/:id`) and template literals (`$` before a brace) write it, which would be sent as it stands.
 */
const unfitLiteral = /[{}\s\\#\p{Cc}\p{Cs}]|\/:\w|\$~/u
/** Operators and modifiers of RFC 6570 but `+` are refused, rather than taken for a part of the name. */
const name = /^\+?[^+#./;?&=,!@|*:{}\s][^*:,{}\s]*$/

/**
 * A path such as `/users/{id}`, taken apart once: filling it is a concatenation.
 *
 * A value becomes one segment or a part of one, whatever it holds: `/` is encoded, and what could leave the segment
 * (`.`, `..`, nothing, control characters, lone surrogates) is refused. `{+path}` takes several segments, each of which is
 * treated so.
 */
export class PathTemplate {
  readonly names: readonly string[]
  /** The template has a query of its own, so that a further one is joined by `&`. */
  readonly hasQuery: boolean
  readonly #literals: readonly string[]
  readonly #writers: PathWriters | undefined
  /** As they stand in the template. */
  readonly #places: readonly string[]

  /**
   * @param writers - of the names whose values are more than one text.
   * @throws {TypeError} where the template is none.
   */
  constructor(template: string, writers?: PathWriters) {
    this.#writers = writers
    const refuse = (what: string): never => {
      throw new TypeError(`the path '${template}' ${what}`)
    }
    if (typeof template !== 'string' || /^[^/]/.test(template)) refuse("must be a text that starts with '/'")
    const parts = template.split(/\{([^{}]*)\}/)
    const literals = parts.filter((_, index) => index % 2 < 1)
    this.#places = parts.filter((_, index) => index % 2)
    this.names = this.#places.map((place) => place.replace('+', ''))
    const whole = literals.join('~')
    if (unfitLiteral.test(whole)) refuse("holds a stray brace, white space, ':id', '$', '#' or a backslash")
    for (const each of this.#places) if (!name.test(each)) refuse(`has a placeholder that is no plain name: {${each}}`)
    if (whole.split(/[/?]/).some((segment) => dots.test(segment))) refuse('holds a dot segment')
    this.hasQuery = whole.includes('?')
    this.#literals = literals.map((literal) => literal.replace(/[^!$-;=?-[\]_a-z~]/gu, encodeURIComponent))
  }

  /** @throws {CallError} `invalid_argument` when a value is missing or unfit; it names the placeholder, never the value. */
  fill(values: Readonly<Record<string, unknown>>, origin: ErrorOrigin | undefined): string {
    let path = this.#literals[0] as string
    for (let i = 0; i < this.names.length; i++) {
      const name = this.names[i] as string
      const value = values[name]
      const write = this.#writers?.[name]
      if (write) path += write(value, origin)
      else if (typeof value === 'string' ? plain.test(value) : Number.isSafeInteger(value)) path += value
      else {
        const isList = typeof value === 'string' && (this.#places[i] as string)[0] === '+'
        path += (isList ? value.split('/') : [value]).map((part) => encodeSegment(part, name, origin)).join('/')
      }
      path += this.#literals[i + 1] as string
    }
    return path
  }
}

/** One segment of a path, or a part of one. @throws {CallError} `invalid_argument` where the value could leave it. */
export function encodeSegment(value: unknown, name: string, origin: ErrorOrigin | undefined): string {
  const place = `'${name}' of the path`
  const text = partOf(value, place, origin)
  if (dots.test(text)) throw refusal(`${place} is a dot segment`, origin)
  return encodeURIComponent(text)
}

/** A value as a part of a path, or of another name. @throws {CallError} `invalid_argument` where it is none; it names the place. */
export function partOf(value: unknown, place: string, origin: ErrorOrigin | undefined): string {
  const text = textOf(value)
  const fault = faultOf(text, value)
  if (fault) throw refusal(`${place} ${fault}`, origin)
  return text
}

function textOf(value: unknown): string {
  return /^(?:string|bigint|boolean)$/.test(typeof value) || Number.isFinite(value) ? String(value) : ''
}

/** What keeps a text from being a part. */
function faultOf(text: string, value: unknown): string | undefined {
  if (value === undefined || value === null) return 'is missing'
  if (value === '') return 'is empty'
  if (text === '') return 'is no string, number or bigint'
  return unfit.test(text) ? 'holds a control character or half a surrogate pair' : undefined
}

/** The URL of a call: the transport's, the path, the query and what a credential adds to it. */
export function writeUrl(
  base: Pick<BaseUrl, 'prefix'>,
  template: UrlTemplate,
  params: Readonly<Record<string, unknown>>,
  query: string,
  call: Call,
): string {
  const own = call.credential?.query
  const all = own ? joinQuery(query, encodeQuery(own, undefined, call)) : query
  const path = base.prefix + template.fill(params, call)
  return all === '' ? path : `${path}${template.hasQuery ? '&' : '?'}${all}`
}
