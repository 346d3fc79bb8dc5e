import { CallError, type ErrorOrigin } from '../../../src/core/errors/error.ts'
import { refusal } from '../../../src/core/errors/refusal.ts'
import { guard, toGuardError } from '../../../src/core/guard.ts'
import { bodyKind, type Enter, isOnce, isUsed, leavable, toBytes } from '../../http/bytes.ts'
import { join } from '../../http/collect.ts'
import { streamBody } from '../../http/stream-body.ts'
import type { ByteSource, OpenableSource, UploadSource } from './types.ts'

/** What one request carries. */
export interface Part {
  readonly body: unknown
  /** Undefined where the source ends wherever it ends. */
  readonly length: number | undefined
  /** It reaches the end of the source. */
  readonly isLast: boolean
  /** Of the whole source, where that is known by now. */
  readonly totalBytes: number | undefined
}

/** What is uploaded, part by part. */
export interface Source {
  readonly totalBytes: number | undefined
  /** Its first byte can be given once more. */
  readonly isReplayable: boolean
  /** What was wrong with it while it was sent: the wire tells no more than that the body failed. */
  readonly failure: unknown
  /** Name and type, where it has some. */
  readonly metadata: Readonly<Record<string, string>>
  /** Tells it from any other source; undefined where nothing does. */
  fingerprint(): Promise<string | undefined>
  /** At most `maxBytes` behind the first `offset`. @throws {CallError} where it cannot give them. */
  part(offset: number, maxBytes: number): Promise<Part>
  /** Nothing more is wanted of it. */
  close(): void
}

interface SourceFacts {
  /** What the caller says that it has; bytes. */
  readonly totalBytes: number | undefined
  /** The caller has bounded what a request carries. */
  readonly isChunked: boolean
  readonly origin: ErrorOrigin
}

/** @throws {CallError} `invalid_argument` for what is no source, and for a stream that could not be sent again. */
export function openSource(source: UploadSource, facts: SourceFacts): Source {
  checkTotal(facts.totalBytes, facts.origin)
  const kind = bodyKind(source)
  if (kind === 'blob') return blobSource(source as File, facts)
  if (kind === 'text' || kind === 'bytes') {
    // A copy: the caller may fill its buffer anew meanwhile.
    const part = kind === 'text' ? (source as string) : (toBytes(source as ArrayBuffer) as Uint8Array<ArrayBuffer>)
    return blobSource(new Blob([part]) as File, facts)
  }
  if (kind === 'factory') return new StreamSource(() => (source as () => ByteSource)(), 'from the beginning', facts)
  const { openAt, totalBytes, fingerprint } = guard('the source of the upload', () => membersOf(source), facts.origin)
  if (typeof openAt === 'function') {
    checkTotal(totalBytes, facts.origin)
    const at = (offset: number) => openAt.call(source, offset)
    return new StreamSource(at, 'at any place', { ...facts, totalBytes: facts.totalBytes ?? totalBytes }, fingerprint)
  }
  if (kind !== 'stream')
    throw refusal(
      'the source of an upload is a Blob, bytes, a text, a stream, a function that makes one, or { openAt }',
      facts.origin,
    )
  if (!isOnce(source as object)) return new StreamSource(() => source as ByteSource, 'from the beginning', facts)
  if (isUsed(source as object))
    throw refusal('the source is a stream that was read in part, or that another reader holds', facts.origin)
  if (!facts.isChunked)
    throw refusal(
      'the source is a stream that can be read only once, so that nothing of it could be sent again: pass a function that makes it anew, or chunkBytes, of which one chunk is kept',
      facts.origin,
    )
  return new StreamSource(() => source as ByteSource, 'once', facts)
}

function membersOf(source: unknown): Partial<OpenableSource> {
  const { openAt, totalBytes, fingerprint } = Object(source) as Partial<OpenableSource>
  return { openAt, totalBytes, fingerprint } as Partial<OpenableSource>
}

function checkTotal(totalBytes: unknown, origin: ErrorOrigin): void {
  if (totalBytes !== undefined && !(Number.isSafeInteger(totalBytes) && (totalBytes as number) >= 0))
    throw refusal('totalBytes is a whole number, 0 or more', origin)
}

/** How much of each end tells a file from another. */
const sampleBytes = 65_536

function blobSource(blob: Blob & Partial<File>, { totalBytes, origin }: SourceFacts): Source {
  const { size, name, type, lastModified } = blob
  if (totalBytes !== undefined && totalBytes !== size)
    throw refusal(`totalBytes is ${totalBytes}, and the source has ${size}`, origin)
  return {
    totalBytes: size,
    isReplayable: true,
    failure: undefined,
    metadata: { ...(name && { filename: name }), ...(type && { filetype: type }) },
    async fingerprint() {
      const ends = [blob.slice(0, sampleBytes), blob.slice(Math.max(sampleBytes, size - sampleBytes))]
      const marks = await Promise.all(ends.map(async (end) => markOf(new Uint8Array(await end.arrayBuffer()))))
      return [size, lastModified ?? '', ...marks].join('-')
    },
    part(offset, maxBytes) {
      const end = Math.min(size, offset + maxBytes)
      const body = blob.slice(offset, end)
      return Promise.resolve({ body, length: end - offset, isLast: end === size, totalBytes: size })
    },
    close() {},
  }
}

/** FNV-1a: tells files apart, and hides nothing. */
function markOf(bytes: Uint8Array): string {
  let mark = 0x811c9dc5
  for (const byte of bytes) mark = Math.imul(mark ^ byte, 0x01000193)
  return (mark >>> 0).toString(36)
}

/** A stream that is opened where it can be: at any place, from its beginning, or once. */
class StreamSource implements Source {
  totalBytes: number | undefined
  readonly metadata = {}
  failure: unknown
  readonly #open: (offset: number) => ByteSource | Promise<ByteSource>
  readonly #opens: 'at any place' | 'from the beginning' | 'once'
  readonly #origin: ErrorOrigin
  readonly #fingerprint: string | undefined
  #iterator: AsyncIterator<unknown> | undefined
  /** What was read and is kept, since the server has not confirmed it: bytes from `#keptAt` on. */
  #kept: Uint8Array<ArrayBufferLike> = new Uint8Array(0)
  #keptAt = 0
  #isAtEnd = false

  constructor(
    open: (offset: number) => ByteSource | Promise<ByteSource>,
    opens: 'at any place' | 'from the beginning' | 'once',
    { totalBytes, origin }: SourceFacts,
    fingerprint?: string,
  ) {
    this.#open = open
    this.#opens = opens
    this.totalBytes = totalBytes
    this.#origin = origin
    this.#fingerprint = fingerprint
  }

  get isReplayable(): boolean {
    return this.#opens !== 'once' || this.#keptAt === 0
  }

  fingerprint(): Promise<string | undefined> {
    return Promise.resolve(this.#fingerprint)
  }

  async part(offset: number, maxBytes: number): Promise<Part> {
    const { totalBytes } = this
    if (offset === totalBytes) return { body: new Uint8Array(0), length: 0, isLast: true, totalBytes }
    if (maxBytes === Number.POSITIVE_INFINITY && this.#opens !== 'once') {
      this.failure = undefined
      const body = streamBody(() => leavable((enter) => this.#rest(offset, enter)))
      return { body, length: totalBytes === undefined ? undefined : totalBytes - offset, isLast: true, totalBytes }
    }
    await this.#keepFrom(offset, maxBytes)
    const isLast = this.#isAtEnd && this.#kept.byteLength <= maxBytes
    const end = offset + this.#kept.byteLength
    if (isLast) this.#checkEnd(end)
    else if (totalBytes !== undefined && end > totalBytes) throw this.#larger()
    const body = this.#kept.subarray(0, maxBytes)
    return { body, length: body.byteLength, isLast, totalBytes: isLast ? end : totalBytes }
  }

  close(): void {
    const iterator = this.#iterator
    this.#iterator = undefined
    iterator?.return?.().then(undefined, () => undefined)
  }

  /** All behind `offset`, as it comes; it is read a little ahead, so that a source of a wrong length completes nothing. */
  async *#rest(offset: number, enter: Enter): AsyncGenerator<Uint8Array, void> {
    const { totalBytes = Number.POSITIVE_INFINITY } = this
    let at = offset
    let ahead: Uint8Array | undefined
    try {
      for await (const chunk of enter(this.#chunks(offset))) {
        at += chunk.byteLength
        if (at > totalBytes) throw this.#larger()
        if (ahead) yield ahead
        ahead = chunk
      }
      this.#checkEnd(at)
    } catch (error) {
      this.failure = error
      throw error
    }
    if (ahead) yield ahead
  }

  #chunks(offset: number): AsyncIterableIterator<Uint8Array> {
    return leavable((enter) => this.#read(offset, enter))
  }

  async *#read(offset: number, enter: Enter): AsyncGenerator<Uint8Array, void> {
    const opensAt = this.#opens === 'at any place' ? offset : 0
    const stream = await guard('the source of the upload', () => this.#open(opensAt), this.#origin)
    const kind = bodyKind(stream)
    if (kind !== 'stream') throw refusal('the function of the source gave no stream', this.#origin)
    if (isUsed(stream)) throw refusal('the function of the source gave a stream that was read before', this.#origin)
    let skip = offset - opensAt
    try {
      for await (const each of enter(stream as AsyncIterable<unknown>)) {
        const chunk = toChunk(each, this.#origin)
        if (skip < chunk.byteLength) yield skip > 0 ? chunk.subarray(skip) : chunk
        skip = Math.max(0, skip - chunk.byteLength)
      }
    } catch (cause) {
      throw toGuardError('the source of the upload', cause, this.#origin)
    }
    if (skip > 0) throw this.#smaller(offset - skip)
  }

  /** Reads until more than `maxBytes` behind `offset` are kept, or all there is. */
  async #keepFrom(offset: number, maxBytes: number): Promise<void> {
    const drop = offset - this.#keptAt
    const isKept = drop >= 0 && drop <= this.#kept.byteLength && (this.#iterator || this.#isAtEnd)
    if (isKept) this.#kept = this.#kept.subarray(drop)
    else {
      if (this.#opens === 'once' && (this.#iterator || this.#isAtEnd)) throw this.#passed(offset)
      this.close()
      this.#isAtEnd = false
      this.#iterator = this.#chunks(offset)
      this.#kept = new Uint8Array(0)
    }
    this.#keptAt = offset
    const chunks = [this.#kept]
    let size = this.#kept.byteLength
    while (size <= maxBytes && !this.#isAtEnd) {
      const step = await (this.#iterator as AsyncIterator<Uint8Array>).next()
      if (step.done) this.#isAtEnd = true
      else {
        chunks.push(step.value)
        size += step.value.byteLength
      }
    }
    this.#kept = join(chunks, size)
  }

  #checkEnd(at: number): void {
    if (this.totalBytes !== undefined && at < this.totalBytes) throw this.#smaller(at)
    if (this.totalBytes !== undefined && at > this.totalBytes) throw this.#larger()
    this.totalBytes = at
  }

  #smaller(at: number): CallError {
    const said = this.totalBytes === undefined ? 'the server holds more' : `it was said to have ${this.totalBytes}`
    return this.#unfit('invalid_argument', `the source ended after ${at} bytes, and ${said}`)
  }

  #larger(): CallError {
    return this.#unfit(
      'invalid_argument',
      `the source has more than the ${this.totalBytes} bytes that it was said to have`,
    )
  }

  #passed(offset: number): CallError {
    const where = `the server goes on at ${offset}, and the stream, which can be read only once, was read past that`
    return this.#unfit('data_loss', `${where}: pass a function that makes it anew`)
  }

  #unfit(code: 'invalid_argument' | 'data_loss', message: string): CallError {
    return new CallError({ code, message, phase: 'send', sent: 'maybe' }, this.#origin)
  }
}

function toChunk(chunk: unknown, origin: ErrorOrigin): Uint8Array {
  if (typeof chunk === 'string') return new TextEncoder().encode(chunk)
  if (bodyKind(chunk) === 'bytes') return toBytes(chunk as ArrayBuffer)
  throw refusal('a chunk of the source is no bytes and no text', origin)
}
