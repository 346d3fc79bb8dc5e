/** The part of a Blob or File that is used, so that the published types need no DOM. */
export interface BlobLike {
  readonly size: number
  readonly type: string
  arrayBuffer(): Promise<ArrayBuffer>
}

/** The platform's ReadableStream, where its types are known. */
export type PlatformStream = typeof globalThis extends { ReadableStream: { prototype: infer Stream } }
  ? Stream
  : unknown

/** A body as it arrives, chunk by chunk; read it to its end or leave it (`break`, `cancel`), which closes the wire. */
export interface ByteStream extends AsyncIterable<Uint8Array> {
  /** Reads no further. */
  cancel(): Promise<void>
  /** The same bytes as a WHATWG stream, for `new Response(…)` or `pipeThrough(…)`. */
  toReadable(): PlatformStream
}
