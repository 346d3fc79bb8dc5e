import { uuid } from '../../src/core/call/uuid.ts'
import { type BlobLike, bodyKind, toBytes } from './bytes.ts'

/** A part with a name or type of its own. */
export interface MultipartFile {
  /** What the part holds. */
  readonly content: string | ArrayBufferView | ArrayBuffer | BlobLike
  /** The name that the server is told. @defaultValue a File's own, `blob` for bytes, none for text */
  readonly filename?: string
  /** The media type of the part. @defaultValue the Blob's, else `application/octet-stream` where there is a file name */
  readonly type?: string
}

/** What one field holds. */
export type MultipartValue =
  | string
  | number
  | boolean
  | bigint
  | { toISOString(): string }
  | ArrayBufferView
  | ArrayBuffer
  | BlobLike
  | MultipartFile
  | null
  | undefined

/** A `multipart/form-data` body: of known length, and the same bytes however often it is sent. */
export interface Multipart extends BlobLike {}

/**
 * Makes a `multipart/form-data` body (RFC 7578) of named fields; a list gives one part an item, `null` and `undefined`
 * give none. Parts stay where they are: a file opened with `fs.openAsBlob` is not read into memory.
 *
 * @throws {TypeError} when a value is no text, number, date, bytes, Blob or MultipartFile.
 * @example
 * await api.files.upload({ body: multipart({ title: 'Report', file: await openAsBlob('report.pdf') }) })
 */
export function multipart(fields: Readonly<Record<string, MultipartValue | readonly MultipartValue[]>>): Multipart {
  return multipartOf(
    Object.entries(fields).flatMap(([name, value]) =>
      (Array.isArray(value) ? value : [value]).map((each): [string, unknown] => [name, each]),
    ),
  )
}

/** The same of pairs: FormData, too. */
export function multipartOf(entries: Iterable<readonly [string, unknown]>): Multipart {
  // In lower case: a Blob's type is.
  const boundary = `polywire-${uuid()}`
  const parts: BlobPart[] = []
  for (const [name, value] of entries) {
    if (value === null || value === undefined) continue
    const { content, filename, type } = toPart(name, value)
    const disposition = `form-data; name="${quote(name)}"${filename === undefined ? '' : `; filename="${quote(filename)}"`}`
    parts.push(
      `--${boundary}\r\ncontent-disposition: ${disposition}\r\n${type ? `content-type: ${type.replace(/[\r\n]/g, '')}\r\n` : ''}\r\n`,
      content,
      '\r\n',
    )
  }
  parts.push(`--${boundary}--\r\n`)
  return new Blob(parts, { type: `multipart/form-data; boundary=${boundary}` })
}

interface Part {
  readonly content: BlobPart
  readonly filename?: string | undefined
  readonly type?: string | undefined
}
type BlobPart = string | Uint8Array<ArrayBuffer> | Blob

function toPart(name: string, value: unknown): Part {
  const kind = bodyKind(value)
  // As browsers do: a text's line ends are CRLF.
  if (kind === 'text') return { content: (value as string).replace(/\r\n|\r|\n/g, '\r\n') }
  if (kind === 'bytes' || kind === 'blob') {
    // Bytes have neither name nor type.
    const { name: filename = 'blob', type } = value as Blob & { readonly name?: string }
    const content = kind === 'blob' ? (value as Blob) : (toBytes(value as ArrayBuffer) as Uint8Array<ArrayBuffer>)
    return { content, filename, type: type || 'application/octet-stream' }
  }
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint')
    return { content: String(value) }
  if (typeof (value as { toISOString?: unknown }).toISOString === 'function')
    return { content: (value as Date).toISOString() }
  if (kind === undefined && typeof value === 'object' && 'content' in (value as object)) {
    const { content, filename, type } = value as MultipartFile
    const part = toPart(name, content)
    const isText = typeof content === 'string'
    return {
      content: isText ? content : part.content,
      filename: filename ?? (isText ? undefined : part.filename),
      type: type ?? (isText && filename !== undefined ? 'text/plain;charset=UTF-8' : part.type),
    }
  }
  throw new TypeError(`the multipart field '${name}' is no text, number, date, bytes, Blob or { content }`)
}

/** WHATWG HTML, multipart/form-data encoding: what would end the quoted name is percent-encoded. */
function quote(name: string): string {
  return name.replace(/\r\n|\r|\n/g, '%0D%0A').replaceAll('"', '%22')
}
