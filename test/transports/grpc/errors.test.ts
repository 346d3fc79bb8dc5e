import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { type AnySchema, anyPack } from '@bufbuild/protobuf/wkt'
import { HeaderMap } from 'polywire'
import { describe, expect, it } from 'vitest'
import { decodeStatusDetails } from '../../../transports/grpc/details.ts'
import { grpcCode, httpStatusFailure, readGrpcStatus, statusFailure } from '../../../transports/grpc/errors.ts'
import { encodeBinaryHeader } from '../../../transports/grpc/metadata.ts'
import {
  BadRequestSchema,
  DebugInfoSchema,
  ErrorInfoSchema,
  HelpSchema,
  LocalizedMessageSchema,
  PreconditionFailureSchema,
  QuotaFailureSchema,
  RequestInfoSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from '../../support/proto/gen/google/rpc/error_details_pb.ts'
import { StatusSchema } from '../../support/proto/gen/google/rpc/status_pb.ts'
import { ItemSchema } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'

const wallNow = Date.UTC(2026, 10, 22)

function detail<D extends DescMessage>(schema: D, init: MessageInitShape<D>) {
  return anyPack(schema, create(schema, init))
}

function statusBytes(code: number, message: string, ...details: MessageInitShape<typeof AnySchema>[]): Uint8Array {
  return toBinary(StatusSchema, create(StatusSchema, { code, message, details: details as never }))
}

function failureOf(metadata: Record<string, string>, headers: Record<string, string> = {}) {
  const trailers = new HeaderMap(metadata)
  const status = readGrpcStatus(trailers)
  if (!status) throw new Error('no status')
  return statusFailure(status, { phase: 'body', headers: new HeaderMap(headers), trailers, wallNow })
}

describe('a gRPC status', () => {
  it.each([
    [1, 'canceled', false],
    [2, 'unknown', false],
    [3, 'invalid_argument', false],
    [4, 'deadline_exceeded', false],
    [5, 'not_found', false],
    [6, 'already_exists', false],
    [7, 'permission_denied', false],
    [8, 'resource_exhausted', true],
    [9, 'failed_precondition', false],
    [10, 'aborted', false],
    [11, 'out_of_range', false],
    [12, 'unimplemented', false],
    [13, 'internal', false],
    [14, 'unavailable', true],
    [15, 'data_loss', false],
    [16, 'unauthenticated', false],
    [17, 'unknown', false],
    [99, 'unknown', false],
  ] as const)('%s is %s', (status, code, isRetryable) => {
    const failure = failureOf({ 'grpc-status': String(status), 'grpc-message': 'why%21' })
    expect(failure).toMatchObject({ code, isRetryable, status, serverMessage: 'why!', sent: 'yes', phase: 'body' })
    expect(failure.message).not.toContain('why')
    expect(grpcCode(status)).toBe(code)
  })

  it.each(['', 'x', '-1', '1.5'])('that is no number (%j) is unknown', (status) => {
    expect(failureOf({ 'grpc-status': status })).toMatchObject({ code: 'unknown', isRetryable: false })
  })

  it('is absent where no header says one', () => {
    expect(readGrpcStatus(new HeaderMap({ 'grpc-message': 'x' }))).toBeUndefined()
    expect(readGrpcStatus(new HeaderMap({ 'grpc-status': '0' }))?.status).toBe(0)
  })

  it('throttles where it is resource_exhausted, and is sent again only by what may run twice', () => {
    expect(failureOf({ 'grpc-status': '8' })).toMatchObject({
      isThrottled: true,
      isUnexecuted: false,
      isRetryable: true,
    })
    expect(failureOf({ 'grpc-status': '14' })).toMatchObject({ isThrottled: false, isUnexecuted: false })
  })
})

describe('an HTTP answer without a gRPC status', () => {
  it.each([
    [400, 'internal', false],
    [401, 'unauthenticated', false],
    [403, 'permission_denied', false],
    [404, 'unimplemented', false],
    [409, 'unknown', false],
    [412, 'unknown', false],
    [418, 'unknown', false],
    [429, 'unavailable', true],
    [431, 'unknown', false],
    [500, 'unknown', false],
    [502, 'unavailable', true],
    [503, 'unavailable', true],
    [504, 'unavailable', true],
    [505, 'unknown', false],
    [302, 'unknown', false],
    [800, 'unknown', false],
  ] as const)('%s is %s', (status, code, isRetryable) => {
    const failure = httpStatusFailure(status, { headers: HeaderMap.empty, wallNow })
    expect(failure).toMatchObject({ code, isRetryable, status, phase: 'headers', sent: 'yes' })
  })

  it('says by 429, or by 503 with a wait, that nothing ran', () => {
    const at = (status: number, headers = {}) => httpStatusFailure(status, { headers: new HeaderMap(headers), wallNow })
    expect(at(429)).toMatchObject({ isUnexecuted: true, isThrottled: true })
    expect(at(503)).toMatchObject({ isUnexecuted: false })
    expect(at(503, { 'retry-after': '2' })).toMatchObject({ isUnexecuted: true, retryAfterMs: 2000 })
  })
})

describe('the wait that a server asks for', () => {
  const retryInfo = (seconds: bigint, nanos = 0) =>
    encodeBinaryHeader(statusBytes(14, '', detail(RetryInfoSchema, { retryDelay: { seconds, nanos } })))
  const of = (metadata: Record<string, string>, headers = {}) => {
    const { retryAfterMs, isRetryForbidden, isUnexecuted } = failureOf({ 'grpc-status': '14', ...metadata }, headers)
    return { retryAfterMs, isRetryForbidden, isUnexecuted }
  }

  it('is the pushback, exactly', () => {
    expect(of({ 'grpc-retry-pushback-ms': '250' })).toMatchObject({ retryAfterMs: 250, isUnexecuted: true })
    expect(of({ 'grpc-retry-pushback-ms': '0' }).retryAfterMs).toBe(0)
    expect(of({}, { 'grpc-retry-pushback-ms': '30' }).retryAfterMs).toBe(30)
  })

  it('is the last of a pushback that stands twice', () => {
    expect(of({ 'grpc-retry-pushback-ms': '250, 250' }).retryAfterMs).toBe(250)
  })

  it.each(['-1', 'soon', '', '1.5', '99999999999'])('forbids another attempt by a pushback of %j', (pushback) => {
    expect(of({ 'grpc-retry-pushback-ms': pushback, 'retry-after': '1' })).toMatchObject({
      isRetryForbidden: true,
      retryAfterMs: undefined,
    })
  })

  it('is RetryInfo where no pushback is', () => {
    expect(of({ 'grpc-status-details-bin': retryInfo(1n, 500_000_000) })).toMatchObject({ retryAfterMs: 1500 })
    expect(of({ 'grpc-status-details-bin': retryInfo(-1n) }).retryAfterMs).toBe(0)
    expect(of({ 'grpc-status-details-bin': retryInfo(1n), 'grpc-retry-pushback-ms': '5' }).retryAfterMs).toBe(5)
  })

  it('is Retry-After last', () => {
    expect(of({}, { 'retry-after': '3' }).retryAfterMs).toBe(3000)
    expect(of({ 'retry-after': '3' }).retryAfterMs).toBe(3000)
  })

  it('is obeyed where it says never', () => {
    expect(of({}, { 'x-should-retry': 'false' }).isRetryForbidden).toBe(true)
  })
})

describe('error details', () => {
  const all = [
    detail(ErrorInfoSchema, { reason: 'NO_STOCK', domain: 'shop.test', metadata: { item: '7', __proto__x: 'y' } }),
    detail(RetryInfoSchema, { retryDelay: { seconds: 2n } }),
    detail(DebugInfoSchema, { stackEntries: ['a', 'b'], detail: 'deep' }),
    detail(QuotaFailureSchema, { violations: [{ subject: 'project:1', description: 'too many' }] }),
    detail(PreconditionFailureSchema, {
      violations: [{ type: 'TOS', subject: 'user:1', description: 'accept first' }],
    }),
    detail(BadRequestSchema, { fieldViolations: [{ field: 'item.name', description: 'is empty' }] }),
    detail(RequestInfoSchema, { requestId: 'req-1', servingData: 's' }),
    detail(ResourceInfoSchema, { resourceType: 'item', resourceName: '7', owner: 'o', description: 'd' }),
    detail(HelpSchema, { links: [{ description: 'docs', url: 'https://docs.test' }] }),
    detail(LocalizedMessageSchema, { locale: 'de', message: 'Ausverkauft' }),
    detail(ItemSchema, { id: 7n }),
  ]

  it('are decoded by hand as protobuf-es encodes them', () => {
    const decoded = decodeStatusDetails(statusBytes(8, 'sold out', ...all))
    expect(decoded).toMatchObject({ code: 8, message: 'sold out' })
    expect(decoded?.details.map(({ type, value }) => [type.replace('google.rpc.', ''), value])).toEqual([
      ['ErrorInfo', { reason: 'NO_STOCK', domain: 'shop.test', metadata: { item: '7', __proto__x: 'y' } }],
      ['RetryInfo', { retryDelayMs: 2000 }],
      ['DebugInfo', { stackEntries: ['a', 'b'], detail: 'deep' }],
      ['QuotaFailure', { violations: [{ subject: 'project:1', description: 'too many' }] }],
      ['PreconditionFailure', { violations: [{ type: 'TOS', subject: 'user:1', description: 'accept first' }] }],
      ['BadRequest', { fieldViolations: [{ field: 'item.name', description: 'is empty' }] }],
      ['RequestInfo', { requestId: 'req-1', servingData: 's' }],
      ['ResourceInfo', { resourceType: 'item', resourceName: '7', owner: 'o', description: 'd' }],
      ['Help', { links: [{ description: 'docs', url: 'https://docs.test' }] }],
      ['LocalizedMessage', { locale: 'de', message: 'Ausverkauft' }],
      ['polywire.test.v1.Item', undefined],
    ])
    expect(decoded?.details.at(-1)?.bytes).toEqual(Uint8Array.of(8, 7))
  })

  it('give reason, request id, violations and wait', () => {
    const failure = failureOf({
      'grpc-status': '8',
      'grpc-status-details-bin': encodeBinaryHeader(statusBytes(8, 'sold out', ...all)),
    })
    expect(failure).toMatchObject({
      code: 'resource_exhausted',
      reason: 'NO_STOCK',
      requestId: 'req-1',
      serverMessage: 'sold out',
      retryAfterMs: 2000,
      violations: [
        { field: 'project:1', message: 'too many' },
        { field: 'user:1', message: 'accept first' },
        { field: 'item.name', message: 'is empty' },
      ],
    })
  })

  it('of a quota without a wait are not sent again', () => {
    const quota = detail(QuotaFailureSchema, { violations: [{ subject: 'day', description: 'used up' }] })
    const details = encodeBinaryHeader(statusBytes(8, '', quota))
    expect(failureOf({ 'grpc-status': '8', 'grpc-status-details-bin': details }).isRetryable).toBe(false)
  })

  it('tell the status where grpc-status is missing, and yield to it where both are there', () => {
    const details = encodeBinaryHeader(statusBytes(5, 'gone'))
    expect(failureOf({ 'grpc-status-details-bin': details })).toMatchObject({
      code: 'not_found',
      serverMessage: 'gone',
    })
    expect(failureOf({ 'grpc-status': '7', 'grpc-status-details-bin': details }).code).toBe('permission_denied')
  })

  it.each([
    ['no base64', '!!!'],
    ['a cut message', encodeBinaryHeader(statusBytes(5, 'gone').subarray(0, 4))],
    ['a length beyond the end', encodeBinaryHeader(Uint8Array.of(0x12, 0xff, 0xff, 0xff, 0x7f))],
    ['a varint without end', encodeBinaryHeader(new Uint8Array(12).fill(0xff))],
    ['field number 0', encodeBinaryHeader(Uint8Array.of(0x00, 0x01))],
    ['a group', encodeBinaryHeader(Uint8Array.of(0x0b, 0x0c))],
  ])('that are %s are left out', (_, details) => {
    const failure = failureOf({ 'grpc-status': '5', 'grpc-message': 'gone', 'grpc-status-details-bin': details })
    expect(failure).toMatchObject({ code: 'not_found', serverMessage: 'gone' })
    expect(failure.details).toBeUndefined()
  })
})
