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
  readonly #prefix = new DataView(new ArrayBuffer(prefixLength))
  #prefixed = 0
  #content: Uint8Array | undefined
  #filled = 0

  constructor(sink: FrameSink, maxBytes: number) {
    this.#sink = sink
    this.#maxBytes = maxBytes
  }

  /** Takes the next piece; tells what is wrong with it, after which nothing may follow. */
  push(bytes: Uint8Array): FrameFault | undefined {
    for (let at = 0; at < bytes.length; ) {
      while (this.#prefixed < prefixLength) {
        if (at === bytes.length) return undefined
        this.#prefix.setUint8(this.#prefixed++, bytes[at++] as number)
        const fault = this.#prefixed === prefixLength ? this.#check() : undefined
        if (fault) return fault
      }
      at = this.#fill(bytes, at)
    }
    return undefined
  }

  get #flags(): number {
    return this.#prefix.getUint8(0)
  }

  get #length(): number {
    return this.#prefix.getUint32(1)
  }

  #check(): FrameFault | undefined {
    const flags = this.#flags
    if ((flags & ~(trailerFlag | compressedFlag)) !== 0) return 'flags'
    return this.#length > (flags & trailerFlag ? maxTrailerBytes : this.#maxBytes) ? 'too_large' : undefined
  }

  #fill(bytes: Uint8Array, at: number): number {
    const length = this.#length
    const part = bytes.subarray(at, at + length - this.#filled)
    if (this.#content === undefined && part.length === length) this.#emit(part)
    else {
      this.#content ??= new Uint8Array(length)
      this.#content.set(part, this.#filled)
      this.#filled += part.length
      if (this.#filled === length) this.#emit(this.#content)
    }
    return at + part.length
  }

  #emit(content: Uint8Array): void {
    this.#prefixed = this.#filled = 0
    this.#content = undefined
    this.#sink.onFrame(this.#flags, content)
  }
}

/** One frame as it goes over the wire. */
export function encodeFrame(flags: number, content: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(prefixLength + content.length)
  frame[0] = flags
  new DataView(frame.buffer).setUint32(1, content.length)
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
