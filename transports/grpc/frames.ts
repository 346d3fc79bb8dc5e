import { HeaderMap } from '../../src/core/call/header-map.ts'

/** Frames of gRPC and gRPC-Web: one byte of flags, four of length, then the content. */
const prefixLength = 5
/** The content is a block of trailers (gRPC-Web only). */
export const trailerFlag = 0x80
/** The content is compressed. */
export const compressedFlag = 0x01

/** How a body breaks the framing. */
export type FrameFault = 'flags' | 'too_large'

/** Where frames are reported to. */
export interface FrameSink {
  onFrame(flags: number, content: Uint8Array): void
}

/** Trailers longer than this are an attack; bytes. */
const maxTrailerBytes = 1 << 20

/**
 * Cuts a body into frames, whatever the pieces it comes in.
 *
 * The announced length is checked before anything is kept, so that five bytes cannot ask for four gigabytes; content
 * that lies within one piece is handed on without a copy.
 */
export class FrameReader {
  readonly #sink: FrameSink
  readonly #maxBytes: number
  readonly #prefix = new Uint8Array(prefixLength)
  #prefixed = 0
  #flags = 0
  #content: Uint8Array | undefined
  #filled = 0

  constructor(sink: FrameSink, maxBytes: number) {
    this.#sink = sink
    this.#maxBytes = maxBytes
  }

  /** The body may not end here. */
  get isMidFrame(): boolean {
    return this.#prefixed > 0
  }

  /** Takes the next piece; tells what is wrong with it, after which nothing may follow. */
  push(bytes: Uint8Array): FrameFault | undefined {
    let at = 0
    while (at < bytes.length) {
      if (this.#prefixed < prefixLength) {
        at = this.#fillPrefix(bytes, at)
        if (this.#prefixed < prefixLength) return undefined
        const fault = this.#check()
        if (fault) return fault
      }
      at = this.#fillContent(bytes, at)
    }
    return undefined
  }

  #fillPrefix(bytes: Uint8Array, at: number): number {
    let next = at
    while (this.#prefixed < prefixLength && next < bytes.length)
      this.#prefix[this.#prefixed++] = bytes[next++] as number
    return next
  }

  #check(): FrameFault | undefined {
    this.#flags = this.#prefix[0] as number
    if ((this.#flags & ~(trailerFlag | compressedFlag)) !== 0) return 'flags'
    const isTrailer = (this.#flags & trailerFlag) !== 0
    return this.#length > (isTrailer ? maxTrailerBytes : this.#maxBytes) ? 'too_large' : undefined
  }

  get #length(): number {
    const [, a = 0, b = 0, c = 0, d = 0] = this.#prefix
    return a * 0x1000000 + ((b << 16) | (c << 8) | d)
  }

  #fillContent(bytes: Uint8Array, at: number): number {
    const length = this.#length
    const missing = length - this.#filled
    if (this.#content === undefined && bytes.length - at >= missing) {
      this.#emit(bytes.subarray(at, at + length))
      return at + length
    }
    this.#content ??= new Uint8Array(length)
    const part = bytes.subarray(at, at + missing)
    this.#content.set(part, this.#filled)
    this.#filled += part.length
    if (this.#filled === length) this.#emit(this.#content)
    return at + part.length
  }

  #emit(content: Uint8Array): void {
    this.#prefixed = 0
    this.#filled = 0
    this.#content = undefined
    this.#sink.onFrame(this.#flags, content)
  }
}

/** One frame as it goes over the wire. */
export function encodeFrame(flags: number, content: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(prefixLength + content.length)
  frame[0] = flags
  frame[1] = content.length >>> 24
  frame[2] = content.length >>> 16
  frame[3] = content.length >>> 8
  frame[4] = content.length
  frame.set(content, prefixLength)
  return frame
}

/** Reads a block of trailers: header lines, names in any case, one name several times. */
export function parseTrailers(content: Uint8Array): HeaderMap {
  const pairs: [string, string][] = []
  for (const line of new TextDecoder().decode(content).split(/\r?\n/)) {
    const colon = line.indexOf(':')
    if (colon > 0) pairs.push([line.slice(0, colon).trim(), line.slice(colon + 1).trim()])
  }
  return HeaderMap.from(pairs)
}
