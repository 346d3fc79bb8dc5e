import { defineOperation, type Operation, type OperationInfo, type PagerInfo } from '../../src/core/call/operation.ts'
import { validating } from '../../src/core/call/schema.ts'
import { isReplayableBody } from '../http/encode-body.ts'
import type { RestParts } from '../http/input.ts'
import type { ResponseKind } from '../http/input-types.ts'
import { flatIntake, type IntakePlan, nestedIntake } from '../http/intake.ts'
import { PathTemplate } from '../http/path.ts'
import { type AnySpec, checkSpec } from '../http/spec.ts'

/** What the transport needs to know of an operation. */
export interface RestBinding {
  readonly method: string
  readonly template: PathTemplate
  /** Undefined: by content type. */
  readonly response: ResponseKind | undefined
  readonly contentType: string | undefined
  readonly accept: string | undefined
  /** Where neither operation, transport nor call says what they accept. */
  readonly defaultAccept: string
  /** Of an error body, by status. */
  readonly errors: AnySpec['errors']
}

/** Methods whose flat input goes to the query. */
const bodiless: readonly string[] = ['GET', 'HEAD', 'DELETE', 'OPTIONS']
const keyed: readonly string[] = ['POST', 'PATCH']
/** Anything else is taken, too: a problem+json, or a gateway's page, says what went wrong. */
const accepts: Readonly<Record<ResponseKind, string>> = {
  json: 'application/json, */*;q=0.5',
  text: 'text/*, */*;q=0.5',
  bytes: '*/*',
  stream: '*/*',
}

/** Makes the operation of a builder's arguments. */
export function defineRest<O extends Operation<any, any>>(
  builder: string,
  method: string,
  path: string,
  spec: AnySpec = {},
): O {
  const template = new PathTemplate(path)
  checkSpec(builder, path, method, spec)
  const via = spec.via ?? 'rest'
  const name = `${method} ${path}`
  const isIdempotent = spec.idempotent ?? !keyed.includes(method)
  const plan = planOf(method, template, spec, { operation: { name, protocol: 'rest', via } })
  const binding: RestBinding = {
    method,
    template,
    response: spec.response,
    contentType: spec.contentType,
    accept: spec.accept,
    defaultAccept: accepts[spec.response ?? 'json'],
    errors: spec.errors,
  }
  return defineOperation<O>({
    name,
    protocol: 'rest',
    via,
    kind: 'unary',
    isIdempotent,
    isKeyedByDefault: !isIdempotent && keyed.includes(method),
    binding,
    intake: spec.shape === 'nested' ? nestedIntake(plan) : flatIntake(plan),
    isReplayable: (input: RestParts) => isReplayableBody(input.body),
    ...optional(spec, plan),
  })
}

/** Members that stand only where they say something. */
function optional(
  { output, response, errors, paginate, shape, retry, idempotency, validate }: AnySpec,
  { rest }: IntakePlan,
): Partial<OperationInfo> {
  const schema = response === 'stream' ? undefined : validating(output)
  const pager = paginate as PagerInfo | undefined
  return {
    ...(schema && { outlet: (message, check) => check(schema, message) }),
    ...(errors && { errors }),
    ...(pager && { paginate: shape === 'nested' ? pager.nested(rest) : pager }),
    ...(retry !== undefined && { retry }),
    ...(idempotency !== undefined && { idempotency }),
    ...(validate !== undefined && { validate }),
  }
}

function planOf(
  method: string,
  { names }: PathTemplate,
  { input, query, headers, body }: AnySpec,
  origin: IntakePlan['origin'],
): IntakePlan {
  const isList = Array.isArray(query)
  const isBody = body !== undefined || ((query === undefined || isList) && !bodiless.includes(method))
  return {
    origin,
    params: names,
    queryNames: isBody && isList ? query : [],
    rest: isBody ? 'body' : 'query',
    hasBody: body !== undefined && body !== '*' ? true : input !== undefined,
    schemas: {
      ...(input && { input }),
      ...(query && !isList && { query: query as never }),
      ...(headers && { headers }),
      ...(body && body !== '*' && { body }),
    },
  }
}
