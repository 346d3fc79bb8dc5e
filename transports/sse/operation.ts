import type { Operation, OperationInfo, ResumeSpec } from '../../src/core/call/operation.ts'
import { type Schema, validating } from '../../src/core/call/schema.ts'
import { defineServerStream } from '../../src/core/stream/streaming.ts'
import { headersOf, inputReader, type RequestInput } from '../http/input.ts'
import { PathTemplate } from '../http/path.ts'
import type { EventReader } from './batch.ts'
import { makeReader } from './reader.ts'
import { checkEvents } from './spec.ts'
import type { EventsSpec } from './types.ts'

/** What the transport needs to know of an operation. */
export interface SseBinding {
  readonly method: 'GET' | 'POST'
  /** The method of a re-open. */
  readonly reopenMethod: 'GET' | 'POST'
  readonly template: PathTemplate
  readonly reader: EventReader
}

type Schemas = Readonly<Record<string, Schema<any, any>>>

/** Makes the operation of the arguments of `events`. */
export function defineEvents<O extends Operation<any, any>>(path: string, map: Schemas, spec: EventsSpec = {}): O {
  const template = new PathTemplate(path)
  checkEvents(path, map, spec)
  const { method = 'GET', via = 'sse', resume = method === 'GET' } = spec
  const name = `${method} ${path}`
  const encodeInput = inputReader(method, template.names, spec, { operation: { name, protocol: 'sse', via } })
  const reopenMethod = resume === 'get' ? 'GET' : method
  const binding: SseBinding = { method, reopenMethod, template, reader: makeReader(map, spec) }
  return defineServerStream<O>({
    name,
    protocol: 'sse',
    via,
    kind: 'server_stream',
    isIdempotent: spec.idempotent ?? method === 'GET',
    binding,
    ...(spec.shape === 'nested' && { headersOf }),
    isResumable: resume === true || resume === 'get',
    ...(typeof resume === 'object' ? { ...declared(resume, encodeInput) } : { encodeInput }),
    ...optional(map, spec),
  })
}

/** `apply` changes the input as the caller wrote it, which is taken apart again; it was validated before. */
function declared(
  { cursor, apply }: ResumeSpec,
  encodeInput: NonNullable<OperationInfo['encodeInput']>,
): Partial<OperationInfo> {
  const written = new WeakMap<object, unknown>()
  const remember = (parts: RequestInput, input: unknown) => {
    written.set(parts, input)
    return parts
  }
  return {
    encodeInput(input, check) {
      const parts = encodeInput(input, check) as RequestInput | Promise<RequestInput>
      return parts instanceof Promise ? parts.then((done) => remember(done, input)) : remember(parts, input)
    },
    resume: {
      cursor,
      apply: (parts: object, after) => encodeInput(apply(written.get(parts) ?? {}, after), (_schema, value) => value),
    },
  }
}

function optional(map: Schemas, { cursors, gaps, retry, auth, validate }: EventsSpec): Partial<OperationInfo> {
  const schemas = new Map(Object.entries(map).filter(([, schema]) => validating(schema)))
  return {
    ...(schemas.size > 0 && { decodeOutput: decoderOf(schemas) }),
    ...(cursors !== undefined && { cursors }),
    ...(gaps !== undefined && { gaps }),
    ...(retry !== undefined && { retry }),
    ...(auth === false && { auth }),
    ...(validate !== undefined && { validate }),
  }
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
