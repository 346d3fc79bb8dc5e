import type { Call } from '../../src/core/call/call.ts'
import { defineOperation, type Operation, type OperationInfo } from '../../src/core/call/operation.ts'
import type { Reply } from '../../src/core/call/reply.ts'
import { type Schema, validating } from '../../src/core/call/schema.ts'
import { decide } from '../../src/core/guard.ts'
import { either, oneOf, type RulesOf, takes } from '../../src/core/options.ts'
import { openingOption } from '../../src/core/resume/options.ts'
import { receiving } from '../../src/core/stream/streaming.ts'
import { isObject } from '../../src/core/tag.ts'
import type { HttpEngine, HttpRequest } from '../http/contract.ts'
import { declared } from '../http/declared-resume.ts'
import type { EventReader, SseExchange } from '../http/event-stream/event-exchange.ts'
import { toEvent } from '../http/event-stream/event-stream.ts'
import { headersOf, inputReader } from '../http/input.ts'
import { PathTemplate, type UrlTemplate } from '../http/path.ts'
import type { encodeQuery } from '../http/query.ts'
import { type AnySpec, checkSpec, inputRules } from '../http/spec.ts'
import {
  declare,
  headerKeyRule,
  isDeclaration,
  isSchema,
  pick,
  resumeRule,
  schemaWords,
  stopRule,
} from '../shared/option-rules.ts'
import type { EventsSpec } from './types.ts'

/** What the transport needs to know of an operation. */
export interface SseBinding {
  readonly method: 'GET' | 'POST'
  /** The method of a re-open. */
  readonly reopenMethod: 'GET' | 'POST'
  readonly template: UrlTemplate
  readonly reader: EventReader
  /** Makes what reads one connection. @defaultValue what reads events by the reader alone */
  readonly Exchange?: typeof SseExchange | undefined
  /** For `at()`, which validates nothing else. */
  readonly bodySchema?: EventsSpec['body'] | undefined
  /** Opens what is no event stream, where this call asks for something else. */
  readonly open?: (engine: HttpEngine, request: HttpRequest, call: Call) => Promise<Reply> | undefined
  /** The body is a text that is sent as it is, and no JSON. */
  readonly isRawBody?: boolean
  /** Of an operation that a description for run time describes. */
  readonly writer?: { readonly writeQuery?: typeof encodeQuery | undefined }
}

type Schemas = Readonly<Record<string, Schema<any, any>>>

/** Makes the operation of the arguments of `events`. */
export function defineEvents<O extends Operation<any, any>>(path: string, map: Schemas, spec: EventsSpec = {}): O {
  const template = new PathTemplate(path)
  checkEvents(path, map, spec)
  const { method = 'GET', via = 'sse', resume = method === 'GET' } = spec
  const name = `${method} ${path}`
  const encodeInput = inputReader(method, template.names, spec, { operation: { name, protocol: 'sse', via } })
  const schemas = new Map(Object.entries(map).filter(([, schema]) => validating(schema)))
  const reopenMethod = resume === 'get' ? 'GET' : method
  const binding: SseBinding = { method, reopenMethod, template, reader: makeReader(map, spec), bodySchema: spec.body }
  const info: OperationInfo = {
    name,
    protocol: 'sse',
    via,
    kind: 'server_stream',
    isIdempotent: spec.idempotent ?? method === 'GET',
    binding,
    isKeyedByDefault: method === 'POST',
    ...(spec.shape === 'nested' && { headersOf }),
    isResumable: resume === true || resume === 'get' || (isDeclaration(resume) && method === 'GET'),
    ...(typeof resume === 'object' && resume.apply ? { ...declared(resume, encodeInput) } : { encodeInput }),
    ...(schemas.size > 0 && { decodeOutput: decoderOf(schemas) }),
    streaming: receiving,
    ...pick(spec, ['cursors', 'gaps', 'idempotency', 'retry', 'opening', 'auth', 'validate']),
  }
  return defineOperation<O>(declare(info, spec))
}

/** Validates the data of an event by the schema of its type. */
function decoderOf(schemas: ReadonlyMap<string, Schema<any, any>>): NonNullable<OperationInfo['decodeOutput']> {
  return (message, check) => {
    const event = message as { readonly type: string; readonly data: unknown }
    const schema = schemas.get(event.type)
    if (!schema) return event
    const data = check(schema, event.data)
    return data instanceof Promise ? data.then((checked) => ({ ...event, data: checked })) : { ...event, data }
  }
}

/** What the events of an operation mean: which are given, how their data is read, which one is the last. */
function makeReader(map: object, { data: kind = 'json', undeclared = 'skip', until }: EventsSpec): EventReader {
  const names = new Set(Object.keys(map))
  const only = names.size === 1 ? [...names][0] : undefined
  const isText = kind === 'text'
  const read: EventReader['read'] = (type, text, id) => {
    if (type !== only && !names.has(type))
      return undeclared === 'yield'
        ? { ...toEvent(type, isText ? text : leniently(text), id), isUndeclared: true }
        : undefined
    // Some servers send an event for its name alone.
    const data: unknown = isText ? text : text === '' ? undefined : JSON.parse(text)
    return id === undefined ? { type, data } : { type, data, id }
  }
  if (until === undefined) return { read }
  if (typeof until === 'function')
    return {
      read,
      lastness: (type, data, id, call) =>
        decide("'until'", () => until(toEvent(type, data, id)), call, { phase: 'stream', sent: 'yes' })
          ? 'drop'
          : undefined,
    }
  const lastness = names.has(until) ? 'deliver' : 'drop'
  return { read, lastness: (type) => (type === until ? lastness : undefined) }
}

/** Nobody has said what the data of an undeclared event is. */
function leniently(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text)
  } catch {
    return text
  }
}

const rules: RulesOf<EventsSpec> = {
  ...inputRules,
  method: /* @__PURE__ */ oneOf('GET', 'POST'),
  idempotency: headerKeyRule,
  data: /* @__PURE__ */ oneOf('json', 'text'),
  undeclared: /* @__PURE__ */ oneOf('skip', 'yield'),
  until: /* @__PURE__ */ takes('the name of an event, or a function of one', (value) =>
    typeof value === 'string' ? value !== '' : typeof value === 'function',
  ),
  resume: /* @__PURE__ */ either(/* @__PURE__ */ oneOf(true, false, 'get'), resumeRule),
  stop: stopRule,
  cursors: /* @__PURE__ */ oneOf('opaque', 'offset'),
  gaps: /* @__PURE__ */ oneOf('fail', 'yield'),
  opening: openingOption,
}

/**
 * Refuses what only a caller without types can write, where it is written.
 *
 * @throws {TypeError} naming the path and the member to change.
 */
function checkEvents(path: string, map: unknown, spec: EventsSpec): void {
  const refuse = (what: string): never => {
    throw new TypeError(`events('${path}', …): ${what}`)
  }
  if (!isObject(map) || isSchema(map)) refuse('the second argument names events: { placed: type<Order>() }')
  for (const [name, schema] of Object.entries(map as object))
    if (!isSchema(schema)) refuse(`'${name}' takes ${schemaWords}`)
  if (spec?.body && spec.method !== 'POST') refuse("a body needs method: 'POST'")
  checkSpec('events', path, spec?.method ?? 'GET', spec as AnySpec, rules)
}
