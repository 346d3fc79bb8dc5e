import { checkOptions, flag, oneOf, type RulesOf } from '../../../src/core/options.ts'
import { booleanField, byteCount, inlineDisposition, uploadLimits } from './fields.ts'
import type { UploadProtocol } from './protocol.ts'

/** What may be said of the IETF draft. */
export interface IetfUploadsOptions {
  /** Of the request that creates an upload. @defaultValue 'POST' */
  readonly method?: 'POST' | 'PUT' | 'PATCH' | undefined
  /** A `Content-Digest` (RFC 9530) goes with each part. Parts are of `chunkBytes` (8 MiB) then. @defaultValue none */
  readonly digest?: 'sha-256' | undefined
  /**
   * The request that creates an upload carries its content, which saves a round trip, and a server that knows nothing of
   * resumable uploads takes it for a plain one. It goes on after a cut only where the engine shows interim responses
   * (undici, no `fetch`) and the server sends one (104): else a cut of this first request is an error.
   *
   * @defaultValue false
   */
  readonly optimistic?: boolean | undefined
}

const rules: RulesOf<IetfUploadsOptions> = {
  method: /* @__PURE__ */ oneOf('POST', 'PUT', 'PATCH'),
  digest: /* @__PURE__ */ oneOf('sha-256'),
  optimistic: flag,
}
/** What client and server agree on while this is a draft. */
export const interopVersion = '8'

/**
 * Uploads by draft-ietf-httpbis-resumable-upload, interop version 8. An upload is created without content, so that its
 * URL is known before anything is sent, in browsers too, which show nobody an interim response.
 *
 * @throws {CallError} `invalid_argument` when an option is wrong.
 * @see https://datatracker.ietf.org/doc/draft-ietf-httpbis-resumable-upload/
 * @example
 * upload('/files', { by: ietfUploads(), output: type<Stored>() })
 */
export function ietfUploads(options: IetfUploadsOptions = {}): UploadProtocol {
  checkOptions('ietfUploads()', options, rules)
  const { method = 'POST', digest, optimistic = false } = options
  return {
    name: 'ietf',
    method,
    contentType: 'application/partial-upload',
    headers: { 'upload-draft-interop-version': interopVersion },
    isTyped: true,
    isOptimistic: optimistic,
    repeatsAnswers: true,
    gone: [404, 410],
    digest: digest && { algorithm: 'SHA-256', header: 'content-digest', write: (value) => `sha-256=:${value}:` },
    create: ({ totalBytes, isWhole, metadata: { filename, filetype = 'application/octet-stream' } }) => ({
      // An empty source is complete with nothing.
      'upload-complete': (isWhole ?? totalBytes === 0) ? '?1' : '?0',
      'content-type': filetype,
      ...(totalBytes !== undefined && { 'upload-length': String(totalBytes) }),
      ...(filename !== undefined && { 'content-disposition': inlineDisposition(filename) }),
    }),
    append: ({ offset, isLast, totalBytes, isLengthOpen }) => ({
      'upload-offset': String(offset),
      'upload-complete': isLast ? '?1' : '?0',
      ...(isLengthOpen && totalBytes !== undefined && { 'upload-length': String(totalBytes) }),
    }),
    read(headers, wallNow) {
      const limits = uploadLimits(headers.get('upload-limit'))
      return {
        offset: byteCount(headers, 'upload-offset'),
        totalBytes: byteCount(headers, 'upload-length'),
        isComplete: booleanField(headers, 'upload-complete') ?? false,
        limits,
        expiresAt: limits.maxAge === undefined ? undefined : wallNow + limits.maxAge * 1000,
      }
    },
  }
}
