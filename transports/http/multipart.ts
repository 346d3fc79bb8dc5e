import { uuid } from '../../src/core/call/uuid.ts'
import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import {
  type BlobLike,
  bodyKind,
  type EncodeStream,
  type Enter,
  leavable,
  type PlatformStream,
  type StreamableBlob,
  type Streamed,
  streamed,
  toBytes,
} from './bytes.ts'
import type { BodyStream } from './contract.ts'

/** A part that is read as it is sent: a stream, which is sent once, or a function that makes one for each attempt. */
export type MultipartStream =
  | AsyncIterable<Uint8Array | string>
  | PlatformStream
  | (() => AsyncIterable<Uint8Array | string> | PlatformStream | Promise<unknown>)

/** A part with a name or type of its own. */
export interface MultipartFile {
  /** What the part holds. On a page a stream is wrapped: `streamBody(() => file.stream())`. */
  readonly content: string | ArrayBufferView | ArrayBuffer | BlobLike | MultipartStream
  /** Of a stream, where it is known, so that the length of the whole is: one that gives more or fewer fails; bytes. @defaultValue unknown */
  readonly length?: number | undefined
  /** The name that the server is told. @defaultValue a File's own, `blob` for bytes, none for text */
  readonly filename?: string | undefined
  /** The media type of the part. @defaultValue the Blob's, else `application/octet-stream` where there is a file name */
  readonly type?: string | undefined
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
  | MultipartStream
  | null
  | undefined

/** A `multipart/form-data` body: of known length, and the same bytes however often it is sent, where no part is a stream. */
export interface Multipart extends BlobLike {}

/**
 * Makes a `multipart/form-data` body (RFC 7578) of named fields; a list gives one part an item, `null` and `undefined`
 * give none. Parts stay where they are: a file opened with `fs.openAsBlob` is not read into memory, and a stream is read as
 * it is sent. With a stream that is read only once the form is sent only once; a function that makes one is called for
 * each attempt.
 *
 * @throws {TypeError} when a value is no text, number, date, bytes, Blob, stream or MultipartFile.
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
  const pieces: Piece[] = []
  for (const [name, value] of entries) {
    if (value === null || value === undefined) continue
    const { content, filename, type } = toPart(name, value)
    const disposition = `form-data; name="${quote(name)}"${filename === undefined ? '' : `; filename="${quote(filename)}"`}`
    pieces.push(
      `--${boundary}\r\ncontent-disposition: ${disposition}\r\n${type ? `content-type: ${type.replace(/[\r\n]/g, '')}\r\n` : ''}\r\n`,
      content,
      '\r\n',
    )
  }
  pieces.push(`--${boundary}--\r\n`)
  const type = `multipart/form-data; boundary=${boundary}`
  return pieces.some(isStreamed) ? streamedForm(pieces, type) : new Blob(pieces as BlobPart[], { type })
}

/** A part that is read as it is sent. */
interface StreamedPart {
  readonly name: string
  readonly stream: object
  readonly length: number | undefined
}
type Piece = BlobPart | StreamedPart

function isStreamed(piece: Piece): piece is StreamedPart {
  return typeof piece === 'object' && bodyKind(piece) === undefined
}

/** A body that is made of its parts anew for each send, where each of them can be. */
function streamedForm(pieces: readonly Piece[], type: string): Multipart {
  const encode: EncodeStream = (_source, _contentType, origin, byPlatform) => {
    const parts = pieces.map((piece) => (isStreamed(piece) ? openPart(piece, origin, byPlatform) : new Blob([piece])))
    const isReplayable = parts.every((part) => part instanceof Blob || part.isReplayable)
    const lengths = parts.map((part) => (part instanceof Blob ? part.size : part.length))
    const length = lengths.includes(undefined) ? undefined : lengths.reduce<number>((sum, each) => sum + (each ?? 0), 0)
    const { open } = parts.find((part) => !(part instanceof Blob)) as OpenPart
    const body: BodyStream = () => leavable((enter) => readParts(parts, enter))
    return { body, contentType: type, isReplayable, ...(open && { open }), ...(length !== undefined && { length }) }
  }
  const isOnce = pieces.some((piece) => isStreamed(piece) && typeof piece.stream !== 'function')
  // Told by its shape: a stream is sent once, and a function makes another one.
  const nothing = () => readParts([], (stream) => stream as never)
  const body = isOnce ? { [Symbol.asyncIterator]: nothing } : nothing
  return Object.defineProperty(body, streamed, { value: encode }) as unknown as Multipart
}

/** One that is opened for each send. */
type OpenPart = Omit<ReturnType<EncodeStream>, 'length'> & {
  readonly name: string
  readonly length: number | undefined
}

function openPart({ name, stream, length }: StreamedPart, origin: ErrorOrigin, byPlatform?: EncodeStream): OpenPart {
  const encode = (stream as Streamed)[streamed] ?? byPlatform
  if (!encode)
    throw refusal(`the multipart field '${name}' is a stream: write streamBody(…), imported from polywire/rest`, origin)
  return { ...encode(stream, undefined, origin), name, length }
}

async function* readParts(parts: readonly (Blob | OpenPart)[], enter: Enter): AsyncGenerator<Uint8Array, void> {
  for (const part of parts) {
    const isWhole = part instanceof Blob
    const bytes = isWhole ? (part as unknown as StreamableBlob).stream() : (part.body as BodyStream)()
    let size = 0
    for await (const chunk of enter(bytes)) {
      size += chunk.byteLength
      if (!isWhole && size > (part.length ?? size)) throw otherLength(part, `more than`)
      yield chunk
    }
    if (!isWhole && size < (part.length ?? size)) throw otherLength(part, `only ${size} of`)
  }
}

function otherLength({ name, length }: OpenPart, what: string): TypeError {
  return new TypeError(`the multipart field '${name}' has ${what} the ${length} bytes that it was said to have`)
}

interface Part {
  readonly content: Piece
  readonly filename?: string | undefined
  readonly type?: string | undefined
}
type BlobPart = string | Uint8Array<ArrayBuffer> | Blob

function toPart(name: string, value: unknown, length?: number): Part {
  const kind = bodyKind(value)
  if (kind === 'stream' || kind === 'factory') {
    if (length !== undefined && !(Number.isSafeInteger(length) && length >= 0))
      throw new TypeError(`the length of the multipart field '${name}' is no whole number of bytes`)
    const content = { name, stream: value as object, length }
    return { content, filename: 'blob', type: 'application/octet-stream' }
  }
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
    const { content, filename, type, length } = value as MultipartFile
    const part = toPart(name, content, length)
    const isText = typeof content === 'string'
    return {
      content: isText ? content : part.content,
      filename: filename ?? (isText ? undefined : part.filename),
      type: type ?? (isText && filename !== undefined ? 'text/plain;charset=UTF-8' : part.type),
    }
  }
  throw new TypeError(`the multipart field '${name}' is no text, number, date, bytes, Blob, stream or { content }`)
}

/** WHATWG HTML, multipart/form-data encoding: what would end the quoted name is percent-encoded. */
function quote(name: string): string {
  return name.replace(/\r\n|\r|\n/g, '%0D%0A').replaceAll('"', '%22')
}
