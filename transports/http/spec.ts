import type { AnyPager } from '../../src/core/call/operation.ts'
import type { Schema } from '../../src/core/call/schema.ts'
import { isIdempotencyOption } from '../shared/idempotency-option.ts'
import type { RequestSpec, ResponseKind } from './input-types.ts'

/** What a builder may be given, `openapi()` included. */
export interface AnySpec extends Omit<RequestSpec, 'body'> {
  readonly body?: RequestSpec['body'] | '*'
  readonly output?: Schema<any, any>
  readonly errors?: { readonly [status: number]: Schema<any, any> }
  readonly paginate?: AnyPager
  readonly response?: ResponseKind
}

const responses: readonly unknown[] = ['json', 'text', 'bytes', 'stream']

/**
 * Refuses what only a caller without types can write, where it is written.
 *
 * @throws {TypeError} naming the builder, the path and the member to change.
 */
export function checkSpec(builder: string, path: string, method: string, spec: AnySpec): void {
  const refuse = (what: string): never => {
    throw new TypeError(`${builder}('${path}', …): ${what}`)
  }
  const must = (isTrue: boolean, what: string) => isTrue || refuse(what)
  const given = (value: unknown) => value !== undefined
  const mayBeSchema = (value: unknown) => !given(value) || isSchema(value)
  if (typeof spec !== 'object' || spec === null || Array.isArray(spec) || isSchema(spec))
    refuse('the second argument is an object such as { output: type<User>() }')

  const { shape, via, input, query, body, headers, output, errors, paginate, response, idempotency } = spec
  must(!given(shape) || shape === 'flat' || shape === 'nested', `shape is 'flat' or 'nested'`)
  must(!given(via) || (typeof via === 'string' && via !== ''), 'via is the key of a transport')
  must(
    mayBeSchema(query) || (Array.isArray(query) && query.every((name) => typeof name === 'string')),
    'query is a schema, or a list of names',
  )
  for (const [member, value] of Object.entries({ input, body: body === '*' ? undefined : body, headers, output }))
    must(mayBeSchema(value), `${member} is a schema, such as type<T>()`)
  for (const [status, schema] of Object.entries(errors ?? {}))
    must(/^[1-5]\d\d$/.test(status) && isSchema(schema), 'errors holds a schema by HTTP status')
  must(
    !given(paginate) || typeof (paginate as { nextInput?: unknown }).nextInput === 'function',
    'paginate is made by cursorPages({ … })',
  )
  must(!given(response) || responses.includes(response), `response is one of ${responses.join(', ')}`)
  must(isIdempotencyOption(idempotency), 'idempotency is false or the name of a profile')

  must(
    !given(body) || (method !== 'GET' && method !== 'HEAD'),
    `${method} carries no body: declare a query, or use post() with idempotent: true`,
  )
  must(!given(output) || method !== 'HEAD', 'HEAD has no message: read the headers of .reply()')
  if (shape === 'nested')
    must(!given(input) && !Array.isArray(query), `shape: 'nested' takes query, headers and body, each a schema`)
  else {
    must(!(isSchema(query) && given(body)), `with a body, give one 'input' and name its query keys: query: ['…']`)
    must(
      !(given(input) && (given(body) || isSchema(query))),
      `'input' types the whole: leave body out, and name query keys in a list`,
    )
    must(!given(headers), `headers need shape: 'nested' (or the option 'headers' of each call)`)
  }
}

function isSchema(value: unknown): boolean {
  return ((typeof value === 'object' && value !== null) || typeof value === 'function') && '~standard' in value
}
