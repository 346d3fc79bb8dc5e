import { checkSpec } from '../http/spec.ts'
import type { EventsSpec } from './types.ts'

/**
 * Refuses what only a caller without types can write, where it is written.
 *
 * @throws {TypeError} naming the path and the member to change.
 */
export function checkEvents(path: string, map: unknown, spec: EventsSpec): void {
  const must = (isTrue: boolean, what: string) => {
    if (!isTrue) throw new TypeError(`events('${path}', …): ${what}`)
  }
  const oneOf = (member: keyof EventsSpec, ...values: readonly unknown[]) =>
    must(
      spec[member] === undefined || values.includes(spec[member]),
      `${member} is one of ${values.map((value) => `'${value}'`).join(', ')}`,
    )
  must(
    typeof map === 'object' && map !== null && !('~standard' in map),
    'the second argument names events: { placed: type<Order>() }',
  )
  for (const [name, schema] of Object.entries(map as object))
    must(
      (typeof schema === 'object' || typeof schema === 'function') && schema !== null && '~standard' in schema,
      `'${name}' is a schema: type<T>(), or one of zod, valibot, arktype …`,
    )
  must(typeof spec === 'object' && spec !== null, "the third argument is an object such as { until: 'done' }")
  oneOf('method', 'GET', 'POST')
  oneOf('data', 'json', 'text')
  oneOf('undeclared', 'skip', 'yield')
  oneOf('cursors', 'opaque', 'offset')
  oneOf('gaps', 'fail', 'yield')
  must(
    spec.until === undefined ||
      typeof spec.until === 'function' ||
      (typeof spec.until === 'string' && spec.until !== ''),
    'until is the name of an event, or a function of one',
  )
  must(isResume(spec.resume), "resume is a boolean, 'get', or { cursor, apply }")
  must(spec.body === undefined || spec.method === 'POST', "a body needs method: 'POST'")
  const { via, shape, input, query, body, headers, validate, idempotent } = spec
  checkSpec('events', path, spec.method ?? 'GET', {
    ...defined({ via, shape, input, query, body, headers, validate, idempotent }),
  })
}

function isResume(resume: EventsSpec['resume']): boolean {
  if (resume === undefined || typeof resume === 'boolean' || resume === 'get') return true
  return (
    typeof resume === 'object' &&
    resume !== null &&
    typeof resume.cursor === 'function' &&
    typeof resume.apply === 'function'
  )
}

function defined<T extends object>(members: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as never
}
