import type { AnyPager } from '../../src/core/call/operation.ts'
import type { Schema } from '../../src/core/call/schema.ts'
import { flag, has, type OptionRules, oneOf, takes, text, wrongOption } from '../../src/core/options.ts'
import { isRecord } from '../../src/core/tag.ts'
import { idempotencyRule, isSchema, operationRules, schemaRule, schemaWords } from '../shared/option-rules.ts'
import type { BodyCoding } from './compression.ts'
import type { FetchOptions } from './contract.ts'
import type { RequestSpec, ResponseKind } from './input-types.ts'
import { compressRule, redirectRule, versionRule } from './option-rules.ts'

/** What of a request a version changes. */
interface Versioned {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}

/** What a builder may be given, `openapi()` included. */
export interface AnySpec extends Omit<RequestSpec, 'body'> {
  readonly body?: RequestSpec['body'] | '*'
  readonly output?: Schema<any, any>
  readonly errors?: { readonly [statusOrReason: string]: Schema<any, any> }
  readonly paginate?: AnyPager
  readonly response?: ResponseKind
  readonly version?: { readonly version: string; apply<R extends Versioned>(request: R, prefix: string): R } | undefined
  readonly redirect?: FetchOptions['redirect'] | undefined
  readonly compress?: BodyCoding | false | undefined
}

function isNames(value: unknown): boolean {
  return Array.isArray(value) && value.every((name) => typeof name === 'string')
}

/** What every operation over HTTP may say of its input. */
export const inputRules = {
  ...operationRules,
  shape: /* @__PURE__ */ oneOf('flat', 'nested'),
  input: schemaRule,
  query: /* @__PURE__ */ takes(`${schemaWords}, or a list of names`, (value) => isSchema(value) || isNames(value)),
  body: /* @__PURE__ */ takes(schemaWords, (value) => value === '*' || isSchema(value)),
  headers: schemaRule,
  idempotent: flag,
}

const isResponse = (value: unknown): boolean =>
  ['json', 'text', 'bytes', 'stream'].includes(value as string) || has('open')(value)

const restRules: OptionRules = {
  ...inputRules,
  contentType: text,
  accept: text,
  redirect: redirectRule,
  compress: compressRule,
  idempotency: idempotencyRule,
  idempotencyScope: text,
  output: schemaRule,
  errors: /* @__PURE__ */ takes('a schema by status or reason', (value) =>
    Object.entries(value as object).every(([name, schema]) => /^[1-5]\d\d$|\D/.test(name) && isSchema(schema)),
  ),
  paginate: /* @__PURE__ */ takes('what cursorPages() or its like makes', /* @__PURE__ */ has('nextCursor')),
  version: versionRule,
  response: /* @__PURE__ */ takes("'json', 'text', 'bytes', 'stream', or byteStream", isResponse),
}

/**
 * Refuses what only a caller without types can write, where it is written.
 *
 * @throws {TypeError} naming the builder, the path and the member to change.
 */
export function checkSpec(
  builder: string,
  path: string,
  method: string,
  spec: AnySpec,
  rules: OptionRules = restRules,
): void {
  const refuse = (what: string): never => {
    throw new TypeError(`${builder}('${path}', …): ${what}`)
  }
  if (!isRecord(spec) || isSchema(spec)) refuse('the last argument is an object such as { output: type<User>() }')
  const wrong = wrongOption(spec, rules) ?? wrongTogether(method, spec)
  if (wrong) refuse(wrong)
}

/** What each is right, and together is not. */
function wrongTogether(method: string, { shape, input, query, body, headers, output }: AnySpec): string | undefined {
  const isHead = method === 'HEAD'
  if (body && (isHead || method === 'GET')) return `${method} carries no body: declare a query, or use post()`
  if (output && isHead) return 'HEAD has no message: use .reply()'
  if (shape === 'nested') {
    const isFlat = input !== undefined || Array.isArray(query)
    return isFlat ? `shape: 'nested' takes query, headers and body, each a schema` : undefined
  }
  if (isSchema(query) && body) return `with a body, give one 'input', and name its query keys: query: ['…']`
  if (input && (body || isSchema(query)))
    return `'input' types the whole: leave body out, and name its query keys: query: ['…']`
  return headers && `headers need shape: 'nested' (or the option 'headers' of each call)`
}
