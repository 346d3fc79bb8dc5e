import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { isObject, isRecord } from '../../src/core/tag.ts'
import { bodyKind } from '../http/bytes.ts'
import { essenceOf } from '../http/codecs.ts'
import { type EncodedBody, encodeBody } from '../http/encode-body.ts'
import { type MultipartFile, multipartOf } from '../http/multipart.ts'
import type { QueryStyle } from '../http/query.ts'
import { stringifyJson } from '../shared/json.ts'
import type { OperationDescription, ParameterStyles } from './openapi-description.ts'
import { type Parameter, readParameter, writeQueryParameter } from './parameter-styles.ts'

type Fields = ReadonlyMap<string, Parameter>

/**
 * Writes the bodies of one operation: forms field by field, by what the description says of each, all else as ever.
 *
 * As OpenAPI has it, a field of which nothing is said is written by its value: an object as JSON, each item of a list on
 * its own.
 */
export function writeDescribedBody(body: NonNullable<OperationDescription['body']>): typeof encodeBody {
  const forms = new Map(
    Object.entries(body).map(([mediaType, fields]): [string, Fields] => [essenceOf(mediaType), fieldsOf(fields)]),
  )
  return (value, rules, origin) => {
    const essence = essenceOf(rules.contentType)
    const fields = forms.get(essence)
    const isForm = essence === 'application/x-www-form-urlencoded'
    if (
      !fields ||
      value === undefined ||
      bodyKind(value) !== undefined ||
      !(isForm || essence === 'multipart/form-data')
    )
      return encodeBody(value, rules, origin)
    if (!isRecord(value)) throw refusal('the form is an object of its fields', origin)
    const { queryStyle } = rules
    if (isForm) {
      const body = Object.entries(value)
        .map(([name, field]) => writeField(fields.get(name) ?? unsaid(name), field, queryStyle, origin))
        .join('')
      return { body: body.slice(1), contentType: rules.contentType, isReplayable: true }
    }
    const parts = Object.entries(value).flatMap(([name, field]) =>
      partsOf(fields.get(name) ?? unsaid(name), field, queryStyle, origin),
    )
    return multipartBody(parts, origin)
  }
}

const unsaid = (name: string): Parameter => readParameter(name, 'form', {})

function fieldsOf(styles: ParameterStyles): Fields {
  return new Map(Object.entries(styles).map(([name, style]) => [name, readParameter(name, 'form', style)]))
}

/** Whether JSON is how a value is written of which nothing else is said. */
function isPlainObject(value: unknown): value is object {
  return (
    isObject(value) && bodyKind(value) === undefined && typeof (value as { toJSON?: unknown }).toJSON !== 'function'
  )
}

/** A field of a urlencoded form: its pairs, each after a `&`. */
function writeField(
  field: Parameter,
  value: unknown,
  style: QueryStyle | undefined,
  origin: ErrorOrigin | undefined,
): string {
  if (field.isStyled || !isPlainObject(value)) return writeQueryParameter(field, value, style, origin)
  if (Array.isArray(value) && !isJsonType(field.contentType))
    return value.map((item) => writeField(field, item, style, origin)).join('')
  return writeQueryParameter({ ...field, style: 'json' }, value, style, origin)
}

const isJsonType = (contentType: string | undefined): boolean => contentType !== undefined && /json/.test(contentType)

type Part = readonly [name: string, value: unknown]

/** A field of a multipart form: a part, or one for each item. */
function partsOf(
  field: Parameter,
  value: unknown,
  style: QueryStyle | undefined,
  origin: ErrorOrigin | undefined,
): readonly Part[] {
  const { name, isStyled, contentType } = field
  if (value === undefined || value === null) return []
  if (Array.isArray(value) && !isStyled && !isJsonType(contentType))
    return value.flatMap((item) => partsOf(field, item, style, origin))
  if (isStyled && isPlainObject(value))
    return [...new URLSearchParams(writeQueryParameter(field, value, style, origin).slice(1))]
  if (!isPlainObject(value)) {
    // Where one type alone may stand there, it is that of bytes and texts, too.
    const isOne = contentType !== undefined && !/[,*]/.test(contentType)
    const isTyped = bodyKind(value) === 'blob' && (value as Blob).type !== ''
    return [[name, isOne && !isTyped ? fileOf(value, contentType) : value]]
  }
  if ('content' in value && !isJsonType(contentType)) return [[name, value]]
  const content = stringifyJson(value, `'${name}' of the form`, origin)
  return [[name, { content, type: contentType ?? 'application/json' } satisfies MultipartFile]]
}

function fileOf(value: unknown, type: string): MultipartFile {
  const content = (typeof value === 'object' ? value : String(value)) as MultipartFile['content']
  const name = (value as { readonly name?: unknown }).name
  return { content, type, ...(typeof name === 'string' && { filename: name }) }
}

function multipartBody(parts: readonly Part[], origin: ErrorOrigin): EncodedBody {
  try {
    return encodeBody(multipartOf(parts), { contentType: undefined, codecs: {}, queryStyle: undefined }, origin)
  } catch (cause) {
    // It names the field.
    throw refusal(`the body cannot be written as multipart/form-data: ${(cause as Error).message}`, origin, cause)
  }
}
