import { HttpRestTransport } from './rest/exchange.ts'
import type { RestTransport, RestTransportOptions } from './rest/types.ts'

export { at } from './http/at.ts'
export type { BlobLike, ByteStream } from './http/bytes.ts'
export { type HttpCache, type HttpCacheOptions, type HttpCacheStore, httpCache } from './http/cache.ts'
export type { Codec, Codecs } from './http/codecs.ts'
export { type BodyCoding, type CompressionOptions, compression } from './http/compression.ts'
export type { HttpOptions } from './http/contract.ts'
export type {
  AddTo,
  ByteStreamResponse,
  Flat,
  InputCheck,
  OrNoInput,
  RequestSpec,
  ResponseKind,
  RestIn,
  ViaOf,
} from './http/input-types.ts'
export { type Multipart, type MultipartFile, type MultipartValue, multipart } from './http/multipart.ts'
export type { QueryStyle } from './http/query.ts'
export { streamBody } from './http/stream-body.ts'
export { type ApiVersion, type ApiVersionOptions, apiVersion, type VersionedRequest } from './rest/api-version.ts'
export { type ByteStreamOptions, byteStream, byteStreamWith } from './rest/byte-stream.ts'
export {
  type IfMatchOptions,
  ifMatch,
  ifModifiedSince,
  ifNoneMatch,
  ifUnmodifiedSince,
  type Stored,
  type Tagged,
} from './rest/conditional/conditional.ts'
export { type UpdateFacts, type UpdateOptions, update } from './rest/conditional/update.ts'
export type { DigestAlgorithm } from './rest/downloads/digest.ts'
export { download } from './rest/downloads/download.ts'
export type * from './rest/downloads/types.ts'
export { type HealthSpec, health } from './rest/health.ts'
export { type JsonLinesBuilder, type JsonLinesSpec, jsonLines } from './rest/json-lines.ts'
export { follow, type Linked, linkTo } from './rest/links.ts'
export * from './rest/listing/aip-filter.ts'
export * from './rest/listing/fields.ts'
export { aipLro } from './rest/long-running/aip-lro.ts'
export { type AzureLroOptions, azureLro } from './rest/long-running/azure-lro.ts'
export type { LroAnswer, LroDialect, LroState } from './rest/long-running/dialect.ts'
export { type LongRunningSpec, longRunning } from './rest/long-running/operation.ts'
export { locationLro, type StatusLroOptions, statusLro } from './rest/long-running/status-lro.ts'
export { del, del as delete, get, head, method, options, patch, post, put, query } from './rest/method.ts'
export { type OpenApiOptions, openapi } from './rest/openapi.ts'
export type { ReadWriteMarkers } from './rest/openapi-operation-types.ts'
export type { ApiEvent, ApiStreamBuilder, ApiStreamSpec } from './rest/openapi-stream-types.ts'
export type { ApiSpec, OpenApi, OpenApiCall, OpenApiNestedCall } from './rest/openapi-types.ts'
export * from './rest/pages.ts'
export type * from './rest/types.ts'
export { type IetfUploadsOptions, ietfUploads } from './rest/uploads/ietf.ts'
export { upload } from './rest/uploads/operation.ts'
export type { UploadProtocol } from './rest/uploads/protocol.ts'
export { type TusUploadsOptions, tusUploads } from './rest/uploads/tus.ts'
export type * from './rest/uploads/types.ts'
export type { DeadlineHeader } from './shared/deadline-header.ts'
export { type CursorPagesOptions, cursorPages, type ItemOf, type Pager, type PagerCheck } from './shared/pages.ts'

/**
 * A transport for REST over HTTP.
 *
 * @throws {CallError} `invalid_argument` where `baseUrl` is no URL that can be called, or another option is wrong.
 * @example
 * const client = createClient({ transports: { rest: restTransport({ baseUrl: 'https://api.example.com/v1' }) } })
 */
export function restTransport(options: RestTransportOptions): RestTransport {
  return new HttpRestTransport(options)
}
