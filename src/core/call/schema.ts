import type { Violation } from '../errors/failure.ts'
import { isThenable } from '../guard.ts'
import type { OperationInfo } from './operation.ts'

/** The part of Standard Schema v1 that carries types: zod, valibot, arktype and {@link type} all fit. */
export interface Schema<In = unknown, Out = In> {
  readonly '~standard': { readonly types?: { readonly input: In; readonly output: Out } | undefined }
}

declare const witnessed: unique symbol
/** What `type<T>()` gives: types only, nothing is validated. */
export interface Witness<T> extends Schema<T, T> {
  readonly [witnessed]: true
}

const witness = { '~standard': { version: 1, vendor: 'polywire', validate: (value: unknown) => ({ value }) } }

/**
 * Says the type of an input or output without validating it, at no cost at run time.
 *
 * @example
 * get('/users/{id}', { output: type<User>() })
 */
export function type<T>(): Witness<T> {
  return witness as unknown as Witness<T>
}

/**
 * The same schema, which `undefined` fits as well: for replies that may be empty. Types are gone at run time, so that
 * `type<T | undefined>()` could not tell.
 *
 * @example
 * get('/jobs/{id}/result', { output: optional(type<Result>()) }) // 204 gives undefined
 */
export function optional<In, Out>(schema: Schema<In, Out>): Schema<In | undefined, Out | undefined> {
  const validate = (value: unknown) => (value === undefined ? { value } : standardOf(schema).validate(value))
  return { '~standard': { version: 1, vendor: 'polywire', validate } } as Schema<any, any>
}

/** The output type of a schema. */
export type SchemaOutput<S> = S extends Schema<any, infer Out> ? Out : never

interface Issue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}
type Validation = { readonly value: unknown; readonly issues?: undefined } | { readonly issues: readonly Issue[] }

/** A value that passed, or what is wrong with it. */
export type Checked = { readonly value: unknown } | { readonly violations: readonly Violation[] }

/** The schema if it validates anything; a witness does not. */
export function validating(schema: Schema<any, any> | undefined): Schema<any, any> | undefined {
  return schema === (witness as unknown) ? undefined : schema
}

/** What checks messages by a schema; undefined where that validates nothing. */
export function checking(schema: Schema<any, any> | undefined): OperationInfo['decodeOutput'] {
  const own = validating(schema)
  return own && ((message, check) => check(own, message))
}

/** Runs a Standard Schema; asynchronous only where the schema is. */
export function checkSchema(schema: Schema<any, any>, value: unknown): Checked | Promise<Checked> {
  const result = standardOf(schema).validate(value)
  return isThenable(result) ? Promise.resolve(result).then(toChecked) : toChecked(result)
}

function standardOf(schema: Schema<any, any>) {
  return schema['~standard'] as unknown as { validate(value: unknown): Validation | PromiseLike<Validation> }
}

function toChecked(result: Validation): Checked {
  if (!result.issues) return { value: result.value }
  return { violations: result.issues.map((issue) => ({ field: fieldOf(issue), message: issue.message })) }
}

function fieldOf(issue: Issue): string {
  return (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
}
