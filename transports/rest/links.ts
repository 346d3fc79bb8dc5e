import type { UnaryResult } from '../../src/core/call/call-types.ts'
import { linkOf } from '../../src/core/call/link-header.ts'
import { CallError } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { isRecord } from '../../src/core/tag.ts'
import { at, resolveLink } from '../http/at.ts'
import { encodeSegment } from '../http/path.ts'

/** What links are read of: what `.reply()` gives, or a message, or a part of one. */
export type Linked = Pick<UnaryResult<unknown>, 'message' | 'headers' | 'url'> | object

type Members = Readonly<Record<string, unknown>>
/** A link, and whether it is a template (RFC 6570) for what its caller knows. */
interface Found {
  readonly href: string
  readonly isTemplate: boolean
  /** Where it stands, where that is known. */
  readonly url?: string | undefined
}

/**
 * The target of a link of a reply: of the header `Link` (RFC 8288), else of the body: HAL (`_links`), JSON:API (`links`, those
 * of `data`, and `relationships`), a list of `{ rel, href }` (Spring, Siren, PayPal), or a member of that name
 * (`comments_url`, `@odata.nextLink`). It is absolute where the reply is passed, which knows where it came from; of a message
 * alone, and where it is a template, it is as the server wrote it.
 *
 * @param relation - compared without case. @defaultValue the header `Location`
 * @returns undefined where there is none.
 * @throws {CallError} `internal` where the link is none, or stands in a message alone and is relative to its URL.
 * @example
 * const next = linkTo(await api.articles.list.reply(), 'next')
 */
export function linkTo(source: Linked, relation?: string): string | undefined {
  const found = find(source, relation)
  const href = found && resolveLink(found.href, found.url, relation)
  return found?.isTemplate ? found.href : href
}

/**
 * Stands where the input stands, and follows a link of a reply by an operation: as `at(url)` does, to the transport's own
 * origin or to one of its `origins`, and with its credential at the former alone.
 *
 * @param source - what `.reply()` gives, a message, or a part of one.
 * @param relation - compared without case. @defaultValue the header `Location`: what a POST has made
 * @param rest - what the link does not hold: values of a template, members of the body, parameters of the query.
 * @throws {CallError} `failed_precondition` where there is no such link.
 * @example
 * const made = await api.users.create.reply({ name: 'Ada' })
 * const user = await api.users.get.reply(follow(made))
 * const team = await api.teams.get(follow(user, 'team'))
 */
export function follow<In>(source: Linked, relation?: string, rest?: NoInfer<Partial<In>>): In {
  const found = find(source, relation)
  if (!found) {
    const message = `${relation === undefined ? 'the reply has no Location' : `there is no link '${relation}'`}; nothing was sent`
    throw new CallError({ code: 'failed_precondition', message, phase: 'resolve', sent: 'no' })
  }
  const values = { ...(rest as Members | undefined) }
  const href = found.isTemplate ? expand(found.href, values) : found.href
  return at<In>(resolveLink(href, found.url, relation), values as never)
}

function find(source: Linked, relation: string | undefined): Found | undefined {
  const { headers, message, url } = Object(source) as Partial<UnaryResult<unknown>>
  const isReply = typeof headers?.last === 'function'
  if (!isReply) return relation === undefined ? undefined : ofBody(source, relation)
  if (relation === undefined) {
    const href = headers.last('location')
    return href === null ? undefined : { href, isTemplate: false, url }
  }
  const href = linkOf(headers.get('link') ?? '', relation.toLowerCase())
  if (href !== undefined) return { href, isTemplate: false, url }
  const found = ofBody(message, relation)
  return found && { ...found, url }
}

function ofBody(body: unknown, relation: string): Found | undefined {
  if (!isRecord(body)) return undefined
  const { data } = body
  const relationship = isRecord(data) ? memberOf(memberOf(data, 'relationships'), relation) : undefined
  for (const place of [
    memberOf(body._links, relation),
    memberOf(body.links, relation),
    listed(body.links, relation),
    memberOf(memberOf(data, 'links'), relation),
    memberOf(memberOf(relationship, 'links'), 'related'),
    memberOf(memberOf(memberOf(memberOf(body, 'relationships'), relation), 'links'), 'related'),
    Object.hasOwn(body, relation) && typeof body[relation] === 'string' ? body[relation] : undefined,
  ]) {
    const found = toLink(place, relation)
    if (found) return found
  }
  return undefined
}

/** A text, `{ href }`, or the first of several; null says that there is none. */
function toLink(value: unknown, relation: string): Found | undefined {
  const first = Array.isArray(value) ? value[0] : value
  if (first === undefined || first === null || first === '') return undefined
  const href = isRecord(first) ? first.href : first
  if (href === null) return undefined
  if (typeof href !== 'string' || href === '') throw unfit(`the link '${relation}' is no text`)
  return { href, isTemplate: href.includes('{') }
}

/** `[{ rel, href }]`, where `rel` is a text with several words, or a list. */
function listed(links: unknown, relation: string): unknown {
  const name = relation.toLowerCase()
  const isNamed = (rel: unknown): boolean =>
    typeof rel === 'string' ? rel.toLowerCase().split(/\s+/).includes(name) : Array.isArray(rel) && rel.some(isNamed)
  return Array.isArray(links) ? links.find((each) => isRecord(each) && isNamed(each.rel)) : undefined
}

/** By its own name, else by one that differs in case. */
function memberOf(value: unknown, name: string): unknown {
  if (!isRecord(value)) return undefined
  if (Object.hasOwn(value, name)) return value[name]
  const like = Object.keys(value).find((key) => key.toLowerCase() === name.toLowerCase())
  return like === undefined ? undefined : value[like]
}

const expression = /\{([+#./;?&]?)([^{}]*)\}/g
const variable = /^[\w.%-]+$/

/**
 * A template (RFC 6570) with what is known; what it has taken is taken out of the values. Optional parts (`{/id}`, `{?page}`)
 * without a value are left out, a name that belongs to a segment is not.
 */
function expand(template: string, values: Record<string, unknown>): string {
  const url = template.replace(expression, (_, operator: string, list: string) => {
    const names = list.split(',').map((name) => name.replace(/\*$/, ''))
    if (operator === '#' || operator === ';' || operator === '.' || !names.every((name) => variable.test(name)))
      throw unfit('the link is a template of a kind that is not understood')
    const given = names.flatMap((name) => {
      const value = Object.hasOwn(values, name) ? values[name] : undefined
      delete values[name]
      if (value !== undefined && value !== null) return [[name, value] as const]
      if (operator === '' || operator === '+') throw refusal(`'${name}' of the link is missing`, undefined)
      return []
    })
    if (given.length === 0) return ''
    if (operator === '?' || operator === '&')
      return operator + given.map(([name, value]) => `${name}=${encodeURIComponent(textOf(name, value))}`).join('&')
    const segments = given.map(([name, value]) =>
      operator === '+'
        ? textOf(name, value)
            .split('/')
            .map((part) => encodeSegment(part, name, undefined))
            .join('/')
        : encodeSegment(value, name, undefined),
    )
    return operator === '/' ? `/${segments.join('/')}` : segments.join(',')
  })
  if (/[{}]/.test(url)) throw unfit('the link is a template with a stray brace')
  return url
}

function textOf(name: string, value: unknown): string {
  if (!/^(?:string|number|bigint|boolean)$/.test(typeof value) || /\p{Cs}/u.test(String(value)))
    throw refusal(`'${name}' of the link is no text, number or truth value`, undefined)
  return String(value)
}

/** What a server says that nobody can follow. */
function unfit(what: string): CallError {
  return new CallError({ code: 'internal', message: what, phase: 'body', sent: 'yes' })
}
