import type { CredentialWire } from '../../src/core/call/auth.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { checkOptions, notNegative, type RulesOf } from '../../src/core/options.ts'
import { iteratorOf } from './bytes.ts'
import type { HttpEngine, HttpRequest, HttpScope, HttpSink, HttpWire } from './contract.ts'
import { unsent } from './progress.ts'
import { openUpload } from './upload.ts'

/** Compresses the bodies of requests; made by {@link compression}. */
export interface BodyCoding {
  /** The content coding, as it stands in `Content-Encoding`. */
  readonly format: string
  /** The request with its body compressed when it is sent; as it is where there is nothing to gain. */
  apply<R extends object>(request: R): R
}

/** What is compressed. */
export interface CompressionOptions {
  /** A smaller body is sent as it is; bytes. @defaultValue 1024 */
  readonly minBytes?: number | undefined
}

const rules: RulesOf<CompressionOptions> = { minBytes: notNegative }
/** A file of more than this is not held for the sake of its compression; bytes. */
const maxHeldBytes = 67_108_864
const formats: readonly string[] = ['gzip', 'deflate', 'brotli', 'zstd']

interface CodingStream {
  readonly readable: ReadableStream<Uint8Array>
  readonly writable: WritableStream<Uint8Array>
}
type MakeStream = new (format: string) => CodingStream

/**
 * Compresses the bodies of requests by the platform's CompressionStream: texts, JSON, bytes, files and streams, for each
 * attempt anew. Forms that a browser writes itself are sent as they are. Where the platform has none of this format, nothing is compressed.
 *
 * Only for servers that say they take it: others answer 415, or read garbage. A page of another origin asks leave first
 * (`Content-Encoding` is no simple header).
 *
 * @param format - every platform knows 'gzip' and 'deflate', Node 24 'brotli' and 'zstd', too.
 * @throws {CallError} `invalid_argument` where the format or an option is none.
 * @example
 * post('/bulk', { body: type<Row[]>(), compress: compression('gzip') })
 */
export function compression(
  format: 'gzip' | 'deflate' | 'brotli' | 'zstd',
  options: CompressionOptions = {},
): BodyCoding {
  if (!formats.includes(format)) throw refusal(`compression() knows '${formats.join("', '")}'`, undefined)
  checkOptions('compression()', options, rules)
  const coder: Coder = { format, name: format === 'brotli' ? 'br' : format, minBytes: options.minBytes ?? 1024 }
  const isKnown = canMake(format)
  return {
    format: coder.name,
    apply: (request) =>
      isKnown && isWorth(request as never, coder) ? (wired(request as never, coder) as never) : request,
  }
}

interface Coder {
  readonly format: string
  readonly name: string
  readonly minBytes: number
}

function makeStream(format: string): CodingStream {
  const { CompressionStream } = globalThis as unknown as { readonly CompressionStream: MakeStream }
  return new CompressionStream(format)
}

function canMake(format: string): boolean {
  try {
    return makeStream(format) !== undefined
  } catch {
    return false
  }
}

function isWorth({ body, blob, headers }: HttpRequest, { minBytes }: Coder): boolean {
  if (headers['content-encoding'] !== undefined) return false
  if (blob) return isFile(blob) && blob.size >= minBytes && blob.size <= maxHeldBytes
  if (body === undefined || typeof body === 'function') return body !== undefined
  return body.length >= minBytes
}

function isFile(blob: object): blob is Blob {
  return typeof (blob as Partial<Blob>).arrayBuffer === 'function'
}

/** The request with a wire of its own, which compresses before anything else sees the bytes: signatures cover them. */
function wired(request: HttpRequest, coder: Coder): HttpRequest {
  const { credential } = request
  const inner = credential?.wire as HttpWire | undefined
  const wire: HttpWire = {
    send(engine, given, sink, scope) {
      const plain = { ...given, credential }
      Object.defineProperty(plain, 'isBodyReplayable', { get: () => given.isBodyReplayable, enumerable: true })
      void send(engine, inner, plain, coder, sink, scope)
    },
    respond: (responder, open, scope, origin) =>
      inner ? inner.respond(responder, open, scope, origin) : responder.respond(open, scope, origin),
    handshake: (url, headers) =>
      (inner as CredentialWire | undefined)?.handshake(url, headers) ?? Promise.resolve(headers),
  }
  const made = { ...request, credential: { ...credential, wire } }
  Object.defineProperty(made, 'isBodyReplayable', { get: () => request.isBodyReplayable, enumerable: true })
  return made
}

async function send(
  engine: HttpEngine,
  inner: HttpWire | undefined,
  request: HttpRequest,
  coder: Coder,
  sink: HttpSink,
  scope: HttpScope,
): Promise<void> {
  let coded: HttpRequest
  try {
    coded = await compressed(request, coder)
  } catch (cause) {
    sink.onError({ ...unsent, what: 'the body could not be compressed', code: 'internal', cause })
    return
  }
  // An engine looks at the scope itself, and says what became of it.
  if (inner) inner.send(engine, coded, sink, scope)
  else engine.send({ ...coded, credential: withoutWire(coded.credential) }, sink, scope)
}

function withoutWire(credential: HttpRequest['credential']): HttpRequest['credential'] {
  const { wire: _, ...rest } = credential ?? {}
  return rest
}

async function compressed(request: HttpRequest, coder: Coder): Promise<HttpRequest> {
  const { body, blob, headers } = request
  if (typeof body === 'function') {
    const { 'content-length': _, ...rest } = headers
    return {
      ...request,
      headers: { ...rest, 'content-encoding': coder.name },
      body: () => codedChunks(iteratorOf(body()), coder.format),
      open: openUpload,
    }
  }
  const whole = blob ? new Uint8Array(await (blob as Blob).arrayBuffer()) : toBytes(body)
  const chunks: Uint8Array[] = []
  for await (const chunk of codedChunks(one(whole), coder.format)) chunks.push(chunk)
  const bytes = new Uint8Array(await new Blob(chunks as never).arrayBuffer())
  if (bytes.byteLength >= whole.byteLength) return request
  const length = headers['content-length'] === undefined ? {} : { 'content-length': String(bytes.byteLength) }
  return {
    ...request,
    headers: { ...headers, ...length, 'content-encoding': coder.name },
    body: bytes,
    blob: undefined,
  }
}

function toBytes(body: HttpRequest['body']): Uint8Array {
  return typeof body === 'string' ? new TextEncoder().encode(body) : (body as Uint8Array)
}

/** The chunks of a body, compressed. One that fails fails here, and is never taken for one that has ended; leaving tells it at once. */
function codedChunks(source: AsyncIterator<unknown>, format: string): AsyncIterableIterator<Uint8Array, undefined> {
  const { readable, writable } = makeStream(format)
  const writer = writable.getWriter()
  const reader = readable.getReader()
  let failure: { readonly error: unknown } | undefined
  const feed = async (): Promise<void> => {
    try {
      for (let step = await source.next(); !step.done; step = await source.next()) {
        await writer.ready
        await writer.write(step.value as Uint8Array)
      }
      await writer.close()
    } catch (error) {
      failure ??= { error }
      await writer.abort(error)
    }
  }
  let fed: Promise<void> | undefined
  const chunks: AsyncIterableIterator<Uint8Array, undefined> = {
    [Symbol.asyncIterator]: () => chunks,
    async next() {
      fed ??= feed().catch(() => undefined)
      try {
        const step = await reader.read()
        if (!step.done) return { done: false, value: step.value }
        await fed
      } catch (error) {
        throw failure ? failure.error : error
      }
      if (failure) throw failure.error
      return { done: true, value: undefined }
    },
    async return() {
      reader.cancel().catch(() => undefined)
      writer.abort().catch(() => undefined)
      source.return?.().then(undefined, () => undefined)
      return { done: true, value: undefined }
    },
  }
  return chunks
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
