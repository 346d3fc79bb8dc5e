import { HeaderMap } from '../../src/core/call/header-map.ts'
import { decodeUtf8 } from '../http/collect.ts'

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
  /** V8 keeps so small an array on its own heap, and moves it off, slowly, once a DataView or `buffer` asks for its bytes. */
  readonly #prefix = new Uint8Array(prefixLength)
  /** Bytes of this frame so far, its prefix included; 0 between two. */
  filled = 0
  #content: Uint8Array | undefined

  constructor(sink: FrameSink, maxBytes: number) {
    this.#sink = sink
    this.#maxBytes = maxBytes
  }

  /** Takes the next piece; tells what is wrong with it, after which nothing may follow. */
  push(bytes: Uint8Array): FrameFault | undefined {
    const prefix = this.#prefix
    for (let at = 0; at < bytes.length; ) {
      while (this.filled < prefixLength) {
        if (at === bytes.length) return undefined
        prefix[this.filled++] = bytes[at++] as number
      }
      const flags = prefix[0] as number
      let length = 0
      for (let index = 1; index < prefixLength; index++) length = length * 256 + (prefix[index] as number)
      if (flags & ~(trailerFlag | compressedFlag)) return 'flags'
      if (length > (flags & trailerFlag ? maxTrailerBytes : this.#maxBytes)) return 'too_large'
      const before = this.filled - prefixLength
      const part = bytes.subarray(at, at + length - before)
      at += part.length
      this.filled += part.length
      if (this.#content || part.length < length) (this.#content ??= new Uint8Array(length)).set(part, before)
      if (this.filled - prefixLength < length) continue
      const content = this.#content ?? part
      this.filled = 0
      this.#content = undefined
      this.#sink.onFrame(flags, content)
    }
    return undefined
  }
}

/** One frame as it goes over the wire. */
export function encodeFrame(flags: number, content: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(prefixLength + content.length)
  frame[0] = flags
  for (let at = 1; at < prefixLength; at++) frame[at] = content.length >>> (8 * (4 - at))
  frame.set(content, prefixLength)
  return frame
}

/** What most answers end with: read once. */
const succeeded = /* @__PURE__ */ new HeaderMap({ 'grpc-status': '0' })

/** Reads a block of trailers: header lines, names in any case, one name several times. */
export function parseTrailers(content: Uint8Array): HeaderMap {
  const text = decodeUtf8(content)
  if (text === 'grpc-status: 0\r\n') return succeeded
  const pairs: [string, string][] = []
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':')
    if (colon > 0) pairs.push([line.slice(0, colon).trim(), line.slice(colon + 1).trim()])
  }
  return HeaderMap.from(pairs)
}
