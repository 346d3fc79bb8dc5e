import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { HttpControl, HttpEngine, HttpFault, HttpHead, HttpRequest, HttpScope, HttpSink } from './contract.ts'
import { HttpFaultError } from './fault.ts'

/** A response with its whole body. */
export interface BufferedResponse extends HttpHead {
  /**
   * In one piece, for reading only: often a Node Buffer and part of a larger buffer, whose `slice` and `buffer` show
   * what others received. What a caller is to keep is copied by `new Uint8Array(body)`.
   */
  readonly body: Uint8Array
  readonly trailers: HeaderMap
  /** Why the body of an error answer could not be read: then it is empty, and the status stands. */
  readonly bodyFault?: HttpFault | undefined
  /** The body as UTF-8, without a byte order mark; nothing is copied, and it is decoded anew each time. */
  text(): string
}

/** How a whole body is read. */
export interface CollectOptions {
  /** A larger body is a fault, `resource_exhausted`; bytes after decompression. @defaultValue unlimited */
  readonly maxBodyBytes?: number | undefined
  /** Told as bytes come in; the total is known where the server announces one that is not compressed. */
  readonly onDownloadProgress?: ((transferredBytes: number, totalBytes?: number) => void) | undefined
}

const empty = new Uint8Array(0)
const noOptions: CollectOptions = {}

/**
 * Sends a request and waits for the whole response; the hot path of REST and GraphQL.
 *
 * Rejects with an {@link HttpFaultError} (see `toCallError`), or with the reason of the scope's abort.
 */
export function requestBuffered(
  engine: HttpEngine,
  request: HttpRequest,
  scope: HttpScope,
  options: CollectOptions = noOptions,
): Promise<BufferedResponse> {
  return new Promise((resolve, reject) => {
    const collector = new Collector()
    collector.resolve = resolve
    collector.reject = reject
    collector.options = options
    engine.send(request, collector, scope)
  })
}

class Collector implements HttpSink, BufferedResponse {
  status = 0
  url = ''
  redirected: HttpHead['redirected']
  bodyFault: HttpFault | undefined
  headers!: HeaderMap
  trailers!: HeaderMap
  body: Uint8Array = empty
  // Set by whoever makes it: a constructor would be one function more on the way of every call.
  resolve!: (response: BufferedResponse) => void
  reject!: (error: unknown) => void
  options!: CollectOptions
  #control: HttpControl | undefined
  #chunks: Uint8Array[] | undefined
  #size = 0
  #total: number | undefined

  text(): string {
    return decodeUtf8(this.body)
  }

  onHead(head: HttpHead, control: HttpControl): void {
    this.status = head.status
    this.headers = head.headers
    this.url = head.url
    this.redirected = head.redirected
    this.#control = control
    const { maxBodyBytes = Number.POSITIVE_INFINITY, onDownloadProgress } = this.options
    // What is announced as too large need not be waited for.
    const isTooLarge = Number(head.headers.get('content-length')) > maxBodyBytes
    if (!isTooLarge && !onDownloadProgress) return
    this.#total = announcedLength(head.headers)
    if (isTooLarge && this.#total !== undefined) this.#refuse(maxBodyBytes)
  }

  onData(bytes: Uint8Array): void {
    this.#size += bytes.byteLength
    const { maxBodyBytes = Number.POSITIVE_INFINITY, onDownloadProgress } = this.options
    if (this.#chunks) this.#chunks.push(bytes)
    else if (this.body === empty) this.body = bytes
    else this.#chunks = [this.body, bytes]
    if (this.#size > maxBodyBytes) this.#refuse(maxBodyBytes)
    else onDownloadProgress?.(this.#size, this.#total)
  }

  onEnd(trailers: HeaderMap): void {
    this.trailers = trailers
    if (this.#chunks) this.body = join(this.#chunks, this.#size)
    this.#chunks = undefined
    this.resolve(this)
  }

  onError(fault: HttpFault): void {
    this.#chunks = undefined
    // An answer that tells of a failure keeps its status, whatever becomes of its body.
    if (this.status < 400) {
      this.reject(new HttpFaultError({ redirected: this.redirected, ...fault }))
      return
    }
    this.body = empty
    this.trailers = HeaderMap.empty
    this.bodyFault = fault
    this.resolve(this)
  }

  onAbort(reason: unknown): void {
    this.reject(reason)
  }

  #refuse(maxBodyBytes: number): void {
    this.#control?.cancel()
    this.onError(tooLarge(maxBodyBytes))
  }
}

/** The length of the body as it will be read; unknown where it is chunked or compressed. */
export function announcedLength(headers: HeaderMap): number | undefined {
  const length = headers.get('content-length')
  if (length === null || headers.has('content-encoding')) return undefined
  return /^\d+$/.test(length) ? Number(length) : undefined
}

/** The fault of a body above the limit: it was answered, and is not asked again. */
export function tooLarge(maxBodyBytes: number): HttpFault {
  return {
    phase: 'body',
    sent: 'yes',
    what: `the body is larger than maxBodyBytes (${maxBodyBytes})`,
    hint: 'Raise maxBodyBytes, or read the body as a stream',
    code: 'resource_exhausted',
    cause: undefined,
  }
}

/** Chunks as one array of `size` bytes. */
export function join(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.byteLength
  }
  return whole
}

const decoder = new TextDecoder()
type NodeBytes = Uint8Array & { utf8Slice?(start: number, end: number): string }

/** UTF-8 to text without a byte order mark; a Node Buffer does it in half the time of a TextDecoder. */
export function decodeUtf8(bytes: Uint8Array): string {
  const { utf8Slice } = bytes as NodeBytes
  if (utf8Slice === undefined || bytes[0] === 0xef) return decoder.decode(bytes)
  return utf8Slice.call(bytes, 0, bytes.byteLength)
}
