import type { CallOptions } from '../../../src/core/call/call-options.ts'
import type { Unary, UnaryResult } from '../../../src/core/call/call-types.ts'
import { refusal } from '../../../src/core/errors/refusal.ts'

/** What a list holds; of anything else itself. */
type Item<T> = NonNullable<T> extends readonly (infer E)[] ? NonNullable<E> : NonNullable<T>
type Leaf = string | number | bigint | boolean | symbol | { getTime(): number } | ((...args: never[]) => unknown)

/** The names of a type's members, and of their members, joined by dots, three levels deep: `'customer.address.city'`. */
export type FieldPath<T, Levels extends readonly 0[] = [0, 0]> =
  Item<T> extends infer I
    ? I extends Leaf
      ? never
      : {
          [K in keyof I & string]:
            | K
            | (Levels extends readonly [0, ...infer Rest extends readonly 0[]]
                ? `${K}.${FieldPath<I[K], Rest>}`
                : never)
        }[keyof I & string]
    : never

/** What stands at a path. */
export type FieldAt<T, P extends string> = P extends keyof Item<T>
  ? Item<T>[P]
  : P extends `${infer K}.${infer Rest}`
    ? K extends keyof Item<T>
      ? FieldAt<Item<T>[K], Rest>
      : never
    : never

/** A field to sort by, the largest first where `-` stands before it. */
export type SortKey<T> = FieldPath<T> | `-${FieldPath<T>}`

/**
 * A sort order as JSON:API and most others write it: `-created_at,name`.
 *
 * @throws {CallError} `invalid_argument` where a name would be read as several.
 * @example
 * await api.users.list({ sort: sortBy<User>('-created_at', 'name') })
 */
export function sortBy<T>(...keys: readonly SortKey<T>[]): string {
  return keys.map((key) => checked(key, 'sortBy()')).join(',')
}

/**
 * A sort order as AIP-132 and OData write it: `created_at desc,name`.
 *
 * @throws {CallError} `invalid_argument` where a name would be read as several.
 * @example
 * await api.users.list({ order_by: orderBy<User>('-created_at', 'name') })
 */
export function orderBy<T>(...keys: readonly SortKey<T>[]): string {
  return keys
    .map((key) => checked(key, 'orderBy()'))
    .map((key) => (key.startsWith('-') ? `${key.slice(1)} desc` : key))
    .join(',')
}

/**
 * Names of fields as a text: for `fields`, `$select`, a field mask, or of one type in JSON:API's `fields[articles]`.
 *
 * @throws {CallError} `invalid_argument` where a name would be read as several.
 * @example
 * await api.articles.list({ fields: { articles: fieldList<Article>('title', 'author.name') } })
 */
export function fieldList<T>(...fields: readonly FieldPath<T>[]): string {
  return fields.map((field) => checked(field, 'fieldList()', false)).join(',')
}

/** What a selection leaves of a message, or of each in a list. */
export type Selected<Out, F> = Out extends readonly (infer E)[]
  ? Pick<E, Extract<F, keyof E>>[]
  : Pick<Out, Extract<F, keyof Out>>

/**
 * A call that asks for some fields only, and whose message has no others.
 *
 * @param call - `api.users.get`; a schema of its own as `output` has to let fields be missing.
 * @param param - the input that takes the names. @defaultValue 'fields'
 * @throws {CallError} `invalid_argument` where a name would be read as several.
 * @example
 * const brief = select(api.users.get, ['id', 'name'])
 * const { id, name } = await brief({ id: 42 }) // GET /users/42?fields=id,name
 */
export function select<In, Out, const F extends keyof Item<Out> & string>(
  call: Unary<In, Out>,
  fields: readonly F[],
  param = 'fields',
): Unary<In, Selected<Out, F>> {
  const names = fields.map((field) => checked(field, 'select()', false)).join(',')
  if (names === '') throw refusal('select() takes at least one field', undefined)
  type Call = (input: unknown, options?: CallOptions) => Promise<unknown>
  const withFields = (input: unknown): object => ({ ...(input as object | undefined), [param]: names })
  const { reply } = call as unknown as { reply(...args: unknown[]): Promise<UnaryResult<unknown>> }
  const selected: Call = (input, options) => (call as unknown as Call)(withFields(input), options)
  return Object.assign(selected, {
    reply: (input: unknown, options?: CallOptions) => reply(withFields(input), options),
  }) as unknown as Unary<In, Selected<Out, F>>
}

/** A comma, a space or a control character would make two of one. */
function checked(key: string, what: string, isSort = true): string {
  const name = isSort ? key?.replace?.(/^-/, '') : key
  if (typeof name !== 'string' || !/^[^\s,\p{Cc}\p{Cs}+-][^\s,\p{Cc}\p{Cs}]*$/u.test(name))
    throw refusal(`${what} takes names of fields, without commas and spaces`, undefined)
  return key
}
