import { checkOptions, oneOf, type RulesOf } from '../../../src/core/options.ts'
import { byteCount, uploadMetadata } from './fields.ts'
import type { UploadProtocol } from './protocol.ts'

/** What may be said of tus. */
export interface TusUploadsOptions {
  /**
   * A checksum goes with each part, so that the server refuses one that was damaged on the way, and it is sent again.
   * Only where the server offers the extension; parts are of `chunkBytes` (8 MiB) then.
   *
   * @defaultValue none
   */
  readonly checksum?: 'sha1' | 'sha256' | undefined
}

const rules: RulesOf<TusUploadsOptions> = { checksum: /* @__PURE__ */ oneOf('sha1', 'sha256') }
const algorithms = { sha1: 'SHA-1', sha256: 'SHA-256' } as const

/**
 * Uploads by tus 1.0: tusd, `@tus/server`, Supabase, Cloudflare Stream, Vimeo. Creation, offset, termination,
 * expiration, deferred length, and checksum where asked for.
 *
 * @throws {CallError} `invalid_argument` when an option is wrong.
 * @see https://tus.io/protocols/resumable-upload
 * @example
 * upload('/files', { by: tusUploads() })
 */
export function tusUploads(options: TusUploadsOptions = {}): UploadProtocol {
  checkOptions('tusUploads()', options, rules)
  const { checksum } = options
  return {
    name: 'tus',
    method: 'POST',
    contentType: 'application/offset+octet-stream',
    headers: { 'tus-resumable': '1.0.0' },
    isTyped: false,
    isOptimistic: false,
    repeatsAnswers: false,
    gone: [403, 404, 410],
    digest: checksum && {
      algorithm: algorithms[checksum],
      header: 'upload-checksum',
      write: (digest) => `${checksum} ${digest}`,
    },
    create({ totalBytes, metadata }) {
      const written = uploadMetadata(metadata)
      if (written === undefined) return 'a name in metadata is empty, or has a space, a comma or no ASCII'
      return {
        ...(totalBytes === undefined ? { 'upload-defer-length': '1' } : { 'upload-length': String(totalBytes) }),
        ...(written !== '' && { 'upload-metadata': written }),
      }
    },
    append: ({ offset, isLast, totalBytes, isLengthOpen }) => ({
      'upload-offset': String(offset),
      ...(isLast && isLengthOpen && totalBytes !== undefined && { 'upload-length': String(totalBytes) }),
    }),
    read(headers) {
      const expires = Date.parse(headers.last('upload-expires') ?? '')
      const maxSize = byteCount(headers, 'tus-max-size')
      return {
        offset: byteCount(headers, 'upload-offset'),
        totalBytes: byteCount(headers, 'upload-length'),
        limits: maxSize === undefined ? {} : { maxSize },
        expiresAt: Number.isNaN(expires) ? undefined : expires,
      }
    },
  }
}
