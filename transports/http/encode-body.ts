import { bodies } from '#platform'
import { type ErrorOrigin, isAnyCallError } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { isObject } from '../../src/core/tag.ts'
import { stringifyJson } from '../shared/json.ts'
import { type BlobLike, bodyKind, type Streamed, streamed, toBytes } from './bytes.ts'
import { type Codecs, essenceOf, findCodec, isJson, isText } from './codecs.ts'
import type { HttpBody } from './contract.ts'
import { encodeQuery, type QueryStyle } from './query.ts'
import type { OpenUpload } from './upload.ts'

/** A body as an engine takes it. */
export interface EncodedBody {
  readonly body: HttpBody | undefined
  readonly contentType: string | undefined
  /** Set where the length of a Blob is known. */
  readonly length?: number
  /** Instead of `body`. */
  readonly blob?: Blob | FormData
  /** Opens a `body` that is a stream. */
  readonly open?: OpenUpload
  readonly isReplayable: boolean
}

/** What the encoding of a body depends on beside its value. */
export interface BodyRules {
  /** As the operation or the caller says; undefined: by the kind of body. */
  readonly contentType: string | undefined
  readonly codecs: Codecs
  readonly queryStyle: QueryStyle | undefined
}

/** No body. */
export const noBody: EncodedBody = { body: undefined, contentType: undefined, isReplayable: true }

/** Whether a body is sent as it is, rather than written by a codec. */
export function isRawBody(value: unknown): boolean {
  return bodyKind(value) !== undefined
}

/** Whether a body can be sent once more: all but streams, which a factory function makes anew, and forms of them. */
export function isReplayableBody(value: unknown, contentType?: string): boolean {
  if (!isObject(value)) return true
  if (contentType !== undefined && !bodyKind(value) && /^multipart\/form-data/i.test(contentType))
    return Object.values(value)
      .flat()
      .every((part) => isReplayableBody(part?.content ?? part))
  return bodyKind(value) !== 'stream'
}

/**
 * Writes a body: texts, bytes, Blobs, forms and streams as they are, anything else by the codec of its media type.
 *
 * @throws {CallError} `invalid_argument` when it cannot be written: a BigInt or a circle in JSON, no codec.
 */
export function encodeBody(value: unknown, rules: BodyRules, origin: ErrorOrigin): EncodedBody {
  if (value === undefined) return noBody
  const { contentType } = rules
  switch (bodyKind(value)) {
    case undefined:
      return encodeByType(value, rules, origin)
    case 'text':
      return whole(value as string, contentType ?? 'text/plain;charset=UTF-8')
    case 'bytes':
      // A copy: the caller may fill its buffer anew as soon as the call is made.
      return whole(new Uint8Array(toBytes(value as ArrayBuffer)), contentType ?? 'application/octet-stream')
    case 'params':
      return whole(String(value), contentType ?? 'application/x-www-form-urlencoded;charset=UTF-8')
    case 'form':
      return bodies
        ? encodeBlob(bodies.form(value as Iterable<[string, unknown]>, origin), undefined)
        : { ...noBody, blob: value as FormData }
    case 'blob':
      return encodeBlob(value as BlobLike, contentType)
    default: {
      const encode = (value as Streamed)[streamed] ?? bodies?.stream
      if (!encode) throw refusal('the body is a stream: write streamBody(…), imported from polywire/rest', origin)
      return encode(value as object, contentType, origin, bodies?.stream)
    }
  }
}

function whole(body: string | Uint8Array, contentType: string): EncodedBody {
  return { body, contentType, isReplayable: true }
}

/** A multipart type without the boundary that only the body knows would make the body unreadable. */
function encodeBlob(blob: BlobLike, contentType: string | undefined): EncodedBody {
  const type = blob.type.startsWith('multipart/form-data;')
    ? blob.type
    : (contentType ?? (blob.type || 'application/octet-stream'))
  return { ...noBody, blob: blob as Blob, contentType: type, length: blob.size }
}

function encodeByType(value: unknown, rules: BodyRules, origin: ErrorOrigin): EncodedBody {
  const { contentType = 'application/json', codecs, queryStyle } = rules
  const essence = essenceOf(contentType)
  const serialize = findCodec(codecs, essence)?.serialize
  try {
    if (serialize) {
      const written = serialize(value)
      // A Blob, or a form of which a part is a stream.
      return /^(?:blob|stream|factory)$/.test(bodyKind(written) ?? '')
        ? encodeBody(written, rules, origin)
        : whole(written as string, contentType)
    }
    if (isJson(essence)) return whole(stringifyJson(value, 'the body', origin), contentType)
    if (essence === 'application/x-www-form-urlencoded')
      return whole(encodeQuery(value as object, queryStyle, origin, 'the form'), contentType)
    if (bodies && essence === 'multipart/form-data') return encodeBody(bodies.multipart(value as never), rules, origin)
  } catch (cause) {
    if (isAnyCallError(cause)) throw cause
    // Our own TypeError names the field of a form; what else threw is the user's codec.
    const why = essence === 'multipart/form-data' ? (cause as Error).message : 'the codec threw, see cause'
    throw refusal(`the body cannot be written as ${essence}: ${why}`, origin, cause)
  }
  if (isText(essence) && typeof value !== 'object') return whole(String(value), contentType)
  throw refusal(`no codec writes the media type '${essence}': add it to codecs`, origin)
}
