import type { Transform } from 'node:stream'
import type { HeaderMap, HeaderRecord } from '../../../../src/core/call/header-map.ts'
import type { HttpControl, HttpFault, HttpHead, HttpScope, HttpSink } from '../../contract.ts'

type Zlib = typeof import('node:zlib')
const decoders: Readonly<Record<string, (zlib: Zlib, first: Uint8Array | undefined) => Transform>> = {
  gzip: (zlib) => zlib.createGunzip(),
  'x-gzip': (zlib) => zlib.createGunzip(),
  // Many servers leave out the wrapper that the RFC asks for; its first byte tells.
  deflate: (zlib, first) => ((first?.[0] ?? 8) % 16 === 8 ? zlib.createInflate() : zlib.createInflateRaw()),
  br: (zlib) => zlib.createBrotliDecompress(),
  zstd: zstdFrames,
}
/** Frame by frame (RFC 8878 §3.1), for Node's own leaves out what stands behind the first one without a word. */
function zstdFrames(zlib: Zlib): Transform {
  const { Transform } = process.getBuiltinModule('node:stream')
  let frame: Transform & { readonly bytesWritten: number }
  const begin = (): void => {
    frame = zlib.createZstdDecompress()
    frame.on('data', (chunk: Uint8Array) => void (stage.push(chunk) || frame.pause()))
    frame.on('error', (error) => stage.destroy(error))
  }
  const feed = (chunk: Uint8Array, done: () => void): void => {
    const current = frame
    const before = current.bytesWritten
    const next = (): void => {
      const rest = chunk.subarray(current.bytesWritten - before)
      begin()
      feed(rest, done)
    }
    current.once('end', next)
    current.write(chunk, () => {
      // Of what is left over, the end of the frame is told when all of it was read.
      if (current.bytesWritten - before < chunk.byteLength) return
      current.off('end', next)
      done()
    })
  }
  const stage: Transform = new Transform({
    transform: (chunk: Uint8Array, _encoding, done) => feed(chunk, done),
    flush: (done) => void frame.once('end', done).end(),
    destroy: (error, done) => {
      frame.destroy()
      done(error)
    },
  })
  const read = stage._read.bind(stage)
  stage._read = (size) => {
    frame.resume()
    read(size)
  }
  begin()
  return stage
}

/** A chain of them is legal and never seen; a long one is an attack. */
const maxCodings = 3

/**
 * The sink itself, or one before it that decompresses as fetch does by itself; the headers stay as they came.
 *
 * Unknown codings are passed on as they are, again like fetch.
 */
export function decoded(
  sink: HttpSink,
  headers: HeaderRecord,
  status: number,
  method: string,
  scope: HttpScope,
): HttpSink {
  const coding = headers['content-encoding']
  if (coding === undefined || method === 'HEAD' || status === 204 || status === 304) return sink
  const names = String(coding)
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== 'identity')
  const isKnown = names.every((name) => Object.hasOwn(decoders, name))
  return isKnown && names.length > 0 && names.length <= maxCodings
    ? new DecodingSink(sink, names.reverse(), scope)
    : sink
}

class DecodingSink implements HttpSink, HttpControl {
  readonly #sink: HttpSink
  readonly #scope: HttpScope
  readonly #names: readonly string[]
  /** Made on the first byte: an empty body is not compressed, whatever its headers say. */
  #stages: Transform[] = []
  #wire: HttpControl | undefined
  #trailers: HeaderMap | undefined
  #isPaused = false
  #isOver = false
  #offAbort: (() => void) | undefined

  constructor(sink: HttpSink, names: readonly string[], scope: HttpScope) {
    this.#sink = sink
    this.#names = names
    this.#scope = scope
  }

  onHead(head: HttpHead, control: HttpControl): void {
    this.#wire = control
    this.#sink.onHead(head, this)
  }

  onData(bytes: Uint8Array): void {
    if (this.#stages.length === 0) this.#build(bytes)
    if (this.#stages[0]?.write(bytes) === false) this.#wire?.pause()
  }

  onEnd(trailers: HeaderMap): void {
    this.#trailers = trailers
    const first = this.#stages[0]
    if (!first) {
      this.#end()
      return
    }
    // The wire no longer listens to the scope, and what is left may be read slowly.
    this.#offAbort = this.#scope.onAbort((reason) => this.onAbort(reason))
    first.end()
  }

  onError(fault: HttpFault): void {
    if (this.#close()) this.#sink.onError(fault)
  }

  onAbort(reason: unknown): void {
    if (this.#close()) this.#sink.onAbort?.(reason)
  }

  pause(): void {
    this.#isPaused = true
    this.#stages.at(-1)?.pause()
  }

  resume(): void {
    this.#isPaused = false
    this.#stages.at(-1)?.resume()
  }

  cancel(): void {
    if (this.#close()) this.#wire?.cancel()
  }

  #build(first: Uint8Array): void {
    const zlib = process.getBuiltinModule('node:zlib')
    this.#stages = this.#names.map((name, at) =>
      (decoders[name] as (typeof decoders)[string])(zlib, at ? undefined : first),
    )
    for (const [at, stage] of this.#stages.entries()) {
      stage.on('error', (cause) => this.#broken(cause))
      const next = this.#stages[at + 1]
      if (next) stage.pipe(next)
    }
    this.#stages[0]?.on('drain', () => this.#wire?.resume())
    const last = this.#stages.at(-1)
    last?.on('data', (chunk: Uint8Array) => !this.#isOver && this.#sink.onData(chunk))
    last?.on('end', () => this.#end())
    if (this.#isPaused) last?.pause()
  }

  #end(): void {
    const trailers = this.#trailers
    if (trailers && this.#close()) this.#sink.onEnd(trailers)
  }

  #broken(cause: unknown): void {
    if (!this.#close()) return
    this.#wire?.cancel()
    this.#sink.onError({ phase: 'body', sent: 'yes', what: 'the body could not be decompressed', cause })
  }

  #close(): boolean {
    if (this.#isOver) return false
    this.#isOver = true
    this.#offAbort?.()
    for (const stage of this.#stages) stage.destroy()
    return true
  }
}
