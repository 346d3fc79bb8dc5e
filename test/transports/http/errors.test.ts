import type { Failure } from 'polywire'
import { describe, expect, it } from 'vitest'
import { HeaderMap } from '../../../src/core/call/header-map.ts'
import { readErrorEnvelope } from '../../../transports/http/envelope.ts'
import { httpFailure } from '../../../transports/http/errors.ts'

interface Answer {
  readonly headers?: Record<string, string>
  readonly body?: unknown
  readonly type?: string
  readonly idempotencyKey?: string
}

const now = Date.UTC(2026, 10, 22)
const failure = (status: number, { headers = {}, body, type = 'application/json', idempotencyKey }: Answer = {}) =>
  httpFailure(
    { status, headers: new HeaderMap(headers), body, essence: type, idempotencyKey },
    now,
    readErrorEnvelope(body, type, status),
  )

/** R: transient, T: throttled, U: not executed, !: the server forbids another attempt. */
const flags = ({ isRetryable, isThrottled, isUnexecuted, isRetryForbidden }: Failure) =>
  [isRetryable && 'R', isThrottled && 'T', isUnexecuted && 'U', isRetryForbidden && '!'].filter(Boolean).join('')

describe('the mapping', () => {
  it.each<[number, string, string, Answer?]>([
    [300, 'unknown', ''],
    [302, 'unknown', ''],
    [400, 'invalid_argument', ''],
    [401, 'unauthenticated', ''],
    [402, 'failed_precondition', ''],
    [403, 'permission_denied', ''],
    [403, 'resource_exhausted', 'RTU', { headers: { 'x-ratelimit-remaining': '0' } }],
    [403, 'resource_exhausted', 'RTU', { headers: { 'retry-after': '60' } }],
    [403, 'resource_exhausted', 'RTU', { headers: { ratelimit: '"default";r=0;t=30' } }],
    [403, 'permission_denied', '', { headers: { 'x-ratelimit-remaining': '10' } }],
    [403, 'permission_denied', '', { headers: { ratelimit: '"default";r=10;t=30' } }],
    [404, 'not_found', ''],
    [405, 'unimplemented', ''],
    [406, 'failed_precondition', ''],
    [407, 'failed_precondition', ''],
    [408, 'deadline_exceeded', 'R'],
    [409, 'aborted', ''],
    [409, 'aborted', '', { headers: { 'retry-after': '1' } }],
    [409, 'aborted', 'R', { headers: { 'retry-after': '1' }, idempotencyKey: 'k' }],
    [409, 'aborted', 'R', { body: { error: { code: 'idempotency_key_in_use' } }, idempotencyKey: 'k' }],
    [409, 'aborted', '', { body: { error: { code: 'idempotency_key_in_use' } } }],
    [409, 'aborted', '', { body: { error: { code: 'edit_conflict' } }, idempotencyKey: 'k' }],
    [409, 'already_exists', '', { body: { error: { code: 'ALREADY_EXISTS' } } }],
    [409, 'already_exists', '', { body: { code: 'duplicate_email' } }],
    [410, 'not_found', ''],
    [412, 'failed_precondition', ''],
    [413, 'resource_exhausted', ''],
    [413, 'resource_exhausted', 'R', { headers: { 'retry-after': '1' } }],
    [414, 'invalid_argument', ''],
    [415, 'unimplemented', ''],
    [416, 'out_of_range', ''],
    [417, 'failed_precondition', ''],
    [422, 'invalid_argument', ''],
    [422, 'invalid_argument', '', { headers: { 'retry-after': '1' }, idempotencyKey: 'k' }],
    [423, 'failed_precondition', ''],
    [425, 'unavailable', 'RU'],
    [428, 'failed_precondition', ''],
    [429, 'resource_exhausted', 'RTU'],
    [429, 'resource_exhausted', 'TU', { body: { error: { code: 'insufficient_quota' } } }],
    [
      429,
      'resource_exhausted',
      'TU',
      { body: { error: { details: [{ '@type': 'type.googleapis.com/google.rpc.QuotaFailure' }] } } },
    ],
    [
      429,
      'resource_exhausted',
      'RTU',
      {
        body: { error: { details: [{ '@type': 'type.googleapis.com/google.rpc.QuotaFailure' }] } },
        headers: { 'retry-after': '1' },
      },
    ],
    [431, 'resource_exhausted', ''],
    [451, 'permission_denied', ''],
    [499, 'canceled', ''],
    [500, 'internal', 'R'],
    [501, 'unimplemented', ''],
    [502, 'unavailable', 'R'],
    [503, 'unavailable', 'R'],
    [503, 'unavailable', 'RU', { headers: { 'retry-after': '0' } }],
    [503, 'unavailable', 'R', { headers: { 'retry-after': 'soon' } }],
    [504, 'unavailable', 'R'],
    [504, 'unavailable', 'R', { headers: { 'retry-after': '1' } }],
    [505, 'unimplemented', ''],
    [507, 'resource_exhausted', ''],
    [511, 'permission_denied', ''],
    [421, 'unavailable', 'U'],
    [520, 'unavailable', 'R'],
    [521, 'unavailable', 'R'],
    [522, 'unavailable', 'R'],
    [523, 'unavailable', 'R'],
    [524, 'unavailable', 'R'],
    [525, 'unavailable', ''],
    [526, 'unavailable', ''],
    [527, 'unavailable', 'R'],
    [529, 'unavailable', 'RT'],
    [530, 'unavailable', 'R'],
    [598, 'unavailable', 'R'],
    [599, 'unknown', ''],
    [503, 'unavailable', 'R!', { headers: { 'x-should-retry': 'false' } }],
    [500, 'internal', 'R!', { headers: { 'stripe-should-retry': 'false' } }],
    [500, 'internal', 'R', { headers: { 'x-should-retry': 'true' } }],
  ])('%i → %s %s', (status, code, transient, answer) => {
    const mapped = failure(status, answer)
    expect([mapped.code, flags(mapped), mapped.status, mapped.sent, mapped.phase]).toEqual([
      code,
      transient,
      status,
      'yes',
      'headers',
    ])
    expect(mapped.message).toContain(String(status))
  })

  it.each<[string, number, Answer, string]>([
    ['a page that says that there is nothing', 404, { body: '<p>canary', type: 'text/html' }, 'check path and baseUrl'],
    ['a redirect that leads nowhere', 301, {}, 'no Location header'],
    ['another redirect that leads nowhere', 307, {}, 'no Location header'],
    ['a misdirected request', 421, {}, 'does not serve this host'],
  ])('%s: what it is and what to do', (_, status, answer, words) => {
    const { message } = failure(status, answer)
    expect(message).toContain(words)
    expect(message).not.toContain('canary')
  })

  it('every status has a code and a message', () => {
    for (let status = 300; status < 600; status++)
      expect(failure(status)).toMatchObject({
        code: expect.any(String),
        message: expect.stringMatching(/^the server answered \d{3}: ./),
      })
  })
})

describe('the wait', () => {
  it.each<[number, Record<string, string>, unknown, number | undefined]>([
    [503, {}, undefined, undefined],
    [503, { 'retry-after': '2' }, undefined, 2000],
    [503, { 'retry-after': '0' }, undefined, 0],
    [503, { 'retry-after-ms': '150', 'retry-after': '2' }, undefined, 150],
    [503, { 'retry-after': 'Sun, 22 Nov 2026 01:00:03 GMT', date: 'Sun, 22 Nov 2026 01:00:00 GMT' }, undefined, 3000],
    [
      429,
      { 'retry-after': '2' },
      { error: { details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '3.5s' }] } },
      3500,
    ],
    [429, { 'x-ratelimit-reset': '30' }, undefined, 30_000],
    [403, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(now / 1000 + 90) }, undefined, 90_000],
    [429, { 'x-ratelimit-reset': String(now + 1500) }, undefined, 1500],
    [429, { 'x-ratelimit-reset': String(now / 1000 - 90) }, undefined, 0],
    [
      429,
      { 'x-ratelimit-reset': String(now / 1000 + 60), date: new Date(now + 50_000).toUTCString() },
      undefined,
      10_000,
    ],
    [
      429,
      { 'x-ratelimit-reset': String(now / 1000 + 60), date: ` ${new Date(now + 50_000).toUTCString()} ` },
      undefined,
      10_000,
    ],
    [429, { ratelimit: 'limit=2, remaining=0, reset=60' }, undefined, 60_000],
    [403, { ratelimit: 'remaining=0, reset=60' }, undefined, 60_000],
    [429, { 'x-ratelimit-reset': 'in 30' }, undefined, undefined],
    [
      429,
      {},
      { error: { details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '3s' }] } },
      3000,
    ],
    // A wait that is said in no known form leaves the wait to us: the reset is not asked instead.
    [429, { 'retry-after': 'soon', 'x-ratelimit-reset': '30' }, undefined, undefined],
    [429, { 'retry-after': '-5', 'ratelimit-reset': '30' }, undefined, undefined],
    [429, { 'retry-after': '', ratelimit: 'r=0;t=30' }, undefined, undefined],
    [429, { 'retry-after-ms': '1e3', 'x-ratelimit-reset': '30' }, undefined, undefined],
    [503, { 'x-ratelimit-reset': '30' }, undefined, undefined],
    [429, { ratelimit: '"2-in-1min";r=0;t=42' }, undefined, 42_000],
    [429, { 'x-ratelimit-reset': 'tomorrow' }, undefined, undefined],
    [500, { 'x-ratelimit-reset': '30' }, undefined, undefined],
  ])('%i with %o', (status, headers, body, waitMs) => {
    expect(failure(status, { headers, body }).retryAfterMs).toBe(waitMs)
  })
})

describe('the request id', () => {
  it.each<[Record<string, string>, unknown, string | undefined]>([
    [{}, undefined, undefined],
    [{ 'x-request-id': 'h' }, { error: { code: 'X', request_id: 'b' } }, 'b'],
    [{ 'x-request-id': 'h' }, { error: { code: 'X' }, request_id: 'b' }, 'b'],
    [{ 'x-request-id': 'h' }, { code: 'X', requestId: 'b' }, 'b'],
    [{ 'x-request-id': 'h', 'request-id': 'r' }, {}, 'h'],
    [{ 'request-id': 'r' }, {}, 'r'],
    ...['x-amzn-requestid', 'x-amz-request-id', 'x-ms-request-id', 'x-github-request-id', 'x-correlation-id'].map(
      (name): [Record<string, string>, unknown, string] => [{ [name]: 'a' }, {}, 'a'],
    ),
    [
      { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
      {},
      '0af7651916cd43dd8448eb211c80319c',
    ],
    [{}, { error: { details: [{ '@type': 'type.googleapis.com/google.rpc.RequestInfo', requestId: 'g' }] } }, 'g'],
    [{}, { error: { request_id: 'a sentence is no id' } }, undefined],
  ])('%o and %o', (headers, body, id) => {
    expect(failure(500, { headers, body }).requestId).toBe(id)
  })
})

describe('what error bodies say', () => {
  const says = (body: unknown, type = 'application/json', status = 400) => {
    const { reason, serverMessage, violations, problem } = failure(status, { body, type })
    return { reason, serverMessage, violations, problem }
  }

  it.each<[string, unknown, { reason?: string; serverMessage?: string; violations?: unknown }]>([
    [
      'the envelope',
      {
        error: {
          code: 'VALIDATION_ERROR',
          message: 'no',
          details: [{ field: 'email', message: 'is taken' }],
          request_id: 'r',
        },
      },
      { reason: 'VALIDATION_ERROR', serverMessage: 'no', violations: [{ field: 'email', message: 'is taken' }] },
    ],
    [
      'the envelope, details by field',
      {
        error: {
          code: 'VALIDATION_ERROR',
          message: 'no',
          details: { email: 'is taken', name: ['is short', 'is odd'] },
        },
      },
      {
        reason: 'VALIDATION_ERROR',
        serverMessage: 'no',
        violations: [
          { field: 'email', message: 'is taken' },
          { field: 'name', message: 'is short' },
          { field: 'name', message: 'is odd' },
        ],
      },
    ],
    [
      'google.rpc.Status over JSON',
      {
        error: {
          code: 400,
          message: 'no',
          status: 'INVALID_ARGUMENT',
          details: [
            {
              '@type': 'type.googleapis.com/google.rpc.BadRequest',
              fieldViolations: [{ field: 'a.b', description: 'bad' }],
            },
          ],
        },
      },
      { reason: 'INVALID_ARGUMENT', serverMessage: 'no', violations: [{ field: 'a.b', message: 'bad' }] },
    ],
    [
      'google.rpc.Status with ErrorInfo',
      {
        error: {
          code: 400,
          message: 'no',
          status: 'INVALID_ARGUMENT',
          details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'API_KEY_INVALID' }],
        },
      },
      { reason: 'API_KEY_INVALID', serverMessage: 'no' },
    ],
    ['google.rpc.Status, bare', { code: 3, message: 'no', details: [] }, { serverMessage: 'no' }],
    ['Connect', { code: 'invalid_argument', message: 'no' }, { reason: 'invalid_argument', serverMessage: 'no' }],
    [
      'OAuth',
      { error: 'invalid_grant', error_description: 'expired' },
      { reason: 'invalid_grant', serverMessage: 'expired' },
    ],
    [
      'Fastify',
      { statusCode: 400, error: 'Bad Request', message: 'no', code: 'FST_ERR_VALIDATION' },
      { reason: 'FST_ERR_VALIDATION', serverMessage: 'no' },
    ],
    ['Fastify without a code', { statusCode: 404, error: 'Not Found', message: 'no' }, { serverMessage: 'no' }],
    [
      'Stripe',
      { error: { type: 'card_error', code: 'card_declined', message: 'no', param: 'number' } },
      { reason: 'card_declined', serverMessage: 'no' },
    ],
    [
      'AWS',
      { __type: 'com.amazonaws.dynamodb.v20120810#ResourceNotFoundException', message: 'no' },
      { reason: 'ResourceNotFoundException', serverMessage: 'no' },
    ],
    [
      'GitHub',
      { message: 'Validation Failed', errors: [{ resource: 'Issue', field: 'title', code: 'missing_field' }] },
      {
        reason: 'missing_field',
        serverMessage: 'Validation Failed',
        violations: [{ field: 'title', message: 'missing_field' }],
      },
    ],
    [
      'JSON:API',
      { errors: [{ code: 'E1', title: 'no', detail: 'too short', source: { pointer: '/data/attributes/name' } }] },
      { reason: 'E1', violations: [{ field: 'data.attributes.name', message: 'too short' }] },
    ],
    [
      'ASP.NET',
      { title: 'One or more', errors: { Name: ['is required'] } },
      { serverMessage: 'One or more', violations: [{ field: 'Name', message: 'is required' }] },
    ],
    [
      'FastAPI',
      { detail: [{ loc: ['body', 'items', 0], msg: 'bad', type: 'value_error' }] },
      { violations: [{ field: 'body.items.0', message: 'bad' }] },
    ],
    ['FastAPI, a text', { detail: 'Not found' }, { serverMessage: 'Not found' }],
    [
      'Ajv',
      { message: 'no', errors: [{ instancePath: '/a/b~1c', message: 'bad' }] },
      { serverMessage: 'no', violations: [{ field: 'a.b/c', message: 'bad' }] },
    ],
    ['JSend', { status: 'error', message: 'no' }, { serverMessage: 'no' }],
    ['a bare list', [{ field: 'a', message: 'b' }], { violations: [{ field: 'a', message: 'b' }] }],
    ['an empty object', {}, {}],
    ['null', null, {}],
    ['a number', 5, {}],
    ['nothing', undefined, {}],
    ['bytes', new Uint8Array(3), {}],
    ['hostile types', { error: { code: {}, message: [], details: 5, request_id: {} }, errors: 'x' }, {}],
    ['hostile lists', { errors: [null, 5, 'x', {}, { field: 5 }, { field: 'a' }] }, {}],
    ['a sentence as code', { error: { code: 'this is no code', message: 'no' } }, { serverMessage: 'no' }],
  ])('%s', (_, body, expected) => {
    expect(says(body)).toEqual({
      reason: undefined,
      serverMessage: undefined,
      violations: undefined,
      problem: undefined,
      ...expected,
    })
  })

  const trace = '0af7651916cd43dd8448eb211c80319c'
  /** As these frameworks and platforms write it; what is not named is not read. */
  it.each<[string, number, unknown, Partial<Failure>, string?]>([
    [
      'ASP.NET, validation',
      400,
      {
        type: 'https://tools.ietf.org/html/rfc9110#section-15.5.1',
        title: 'One or more validation errors occurred.',
        status: 400,
        errors: { Name: ['The Name field is required.'], '$.age': ['The JSON value could not be converted.'] },
        traceId: `00-${trace}-b7ad6b7169203331-00`,
      },
      {
        serverMessage: 'One or more validation errors occurred.',
        violations: [
          { field: 'Name', message: 'The Name field is required.' },
          { field: 'age', message: 'The JSON value could not be converted.' },
        ],
        requestId: trace,
      },
      'application/problem+json',
    ],
    [
      'ASP.NET, not found, under application/json',
      404,
      {
        type: 'https://tools.ietf.org/html/rfc9110#section-15.5.5',
        title: 'Not Found',
        status: 404,
        traceId: '0HMPNHL0JHL76:00000001',
      },
      { serverMessage: 'Not Found', requestId: '0HMPNHL0JHL76:00000001' },
    ],
    [
      'ASP.NET, a bare model state',
      400,
      { Name: ['The Name field is required.'], 'Address.Zip': ['Too short.', 'Not a number.'] },
      {
        violations: [
          { field: 'Name', message: 'The Name field is required.' },
          { field: 'Address.Zip', message: 'Too short.' },
          { field: 'Address.Zip', message: 'Not a number.' },
        ],
      },
    ],
    [
      'Nest',
      404,
      { statusCode: 404, message: 'Cannot GET /x', error: 'Not Found' },
      { serverMessage: 'Cannot GET /x' },
    ],
    [
      'Nest, a phrase of one word',
      403,
      { statusCode: 403, message: 'Forbidden resource', error: 'Forbidden' },
      { serverMessage: 'Forbidden resource' },
    ],
    [
      'Nest, validation',
      400,
      {
        statusCode: 400,
        message: ['email must be an email', 'address.zip should not be empty', 'Passwords differ'],
        error: 'Bad Request',
      },
      {
        serverMessage: 'email must be an email; address.zip should not be empty; Passwords differ',
        violations: [
          { field: 'email', message: 'email must be an email' },
          { field: 'address.zip', message: 'address.zip should not be empty' },
          { field: '', message: 'Passwords differ' },
        ],
      },
    ],
    [
      'Kubernetes, not found',
      404,
      {
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: 'pods "web" not found',
        reason: 'NotFound',
        details: { name: 'web', kind: 'pods' },
        code: 404,
      },
      { reason: 'NotFound', serverMessage: 'pods "web" not found', details: { name: 'web', kind: 'pods' } },
    ],
    [
      'Kubernetes, invalid',
      422,
      {
        kind: 'Status',
        status: 'Failure',
        message: 'Pod "web" is invalid',
        reason: 'Invalid',
        details: {
          name: 'web',
          kind: 'Pod',
          causes: [{ reason: 'FieldValueRequired', message: 'Required value', field: 'spec.containers[0].name' }],
        },
        code: 422,
      },
      {
        reason: 'Invalid',
        serverMessage: 'Pod "web" is invalid',
        violations: [{ field: 'spec.containers[0].name', message: 'Required value' }],
        details: expect.objectContaining({ name: 'web' }),
      },
    ],
    [
      'Kubernetes, invalid without causes: a resource is no field',
      422,
      { kind: 'Status', reason: 'Invalid', message: 'no', details: { name: 'web', kind: 'Pod' }, code: 422 },
      { reason: 'Invalid', serverMessage: 'no', details: { name: 'web', kind: 'Pod' } },
    ],
    [
      'Salesforce',
      400,
      [
        {
          message: 'Required fields are missing: [Name, City]',
          errorCode: 'REQUIRED_FIELD_MISSING',
          fields: ['Name', 'City'],
        },
      ],
      {
        reason: 'REQUIRED_FIELD_MISSING',
        serverMessage: 'Required fields are missing: [Name, City]',
        violations: [
          { field: 'Name', message: 'Required fields are missing: [Name, City]' },
          { field: 'City', message: 'Required fields are missing: [Name, City]' },
        ],
      },
    ],
    [
      'Salesforce, not found',
      404,
      [{ errorCode: 'NOT_FOUND', message: 'The requested resource does not exist' }],
      { reason: 'NOT_FOUND', serverMessage: 'The requested resource does not exist' },
    ],
    [
      'Django REST',
      400,
      {
        email: ['Enter a valid email address.'],
        profile: { age: ['A valid integer is required.'] },
        items: [{}, { name: ['This field is required.'] }],
        non_field_errors: ['The passwords differ.'],
      },
      {
        violations: [
          { field: 'email', message: 'Enter a valid email address.' },
          { field: 'profile.age', message: 'A valid integer is required.' },
          { field: 'items.1.name', message: 'This field is required.' },
          { field: '', message: 'The passwords differ.' },
        ],
      },
    ],
    ['Django REST, a text', 404, { detail: 'Not found.' }, { serverMessage: 'Not found.' }],
    [
      'Django REST, a token',
      401,
      {
        detail: 'Given token not valid',
        code: 'token_not_valid',
        messages: [{ token_class: 'AccessToken', message: 'expired' }],
      },
      { reason: 'token_not_valid', serverMessage: 'Given token not valid' },
    ],
    [
      'hapi',
      400,
      {
        statusCode: 400,
        error: 'Bad Request',
        message: 'Invalid request payload input',
        validation: { source: 'payload', keys: ['email', 'address.zip'] },
      },
      {
        serverMessage: 'Invalid request payload input',
        violations: [
          { field: 'email', message: 'Invalid request payload input' },
          { field: 'address.zip', message: 'Invalid request payload input' },
        ],
      },
    ],
    ['Boom', 409, { statusCode: 409, error: 'Conflict', message: 'taken' }, { serverMessage: 'taken' }],
    [
      'Azure Resource Manager',
      400,
      {
        error: {
          code: 'BadArgument',
          message: 'Multiple errors in ContactInfo data',
          target: 'ContactInfo',
          details: [
            { code: 'NullValue', target: 'PhoneNumber', message: 'Phone number must not be null' },
            { code: 'Other', message: 'about no field' },
          ],
          innererror: { code: 'PasswordError', minLength: 6 },
        },
      },
      {
        reason: 'BadArgument',
        serverMessage: 'Multiple errors in ContactInfo data',
        violations: [{ field: 'PhoneNumber', message: 'Phone number must not be null' }],
        details: expect.any(Array),
      },
    ],
    [
      'Microsoft Graph',
      404,
      {
        error: {
          code: 'Request_ResourceNotFound',
          message: 'Resource does not exist.',
          innerError: { date: '2026-11-22T00:00:00', 'request-id': 'a1b2-c3', 'client-request-id': 'd4' },
        },
      },
      { reason: 'Request_ResourceNotFound', serverMessage: 'Resource does not exist.', requestId: 'a1b2-c3' },
    ],
    [
      'Spring',
      400,
      {
        timestamp: '2026-11-22T00:00:00.000+00:00',
        status: 400,
        error: 'Bad Request',
        message: 'Validation failed',
        errors: [
          {
            codes: ['NotBlank.user.name'],
            defaultMessage: 'must not be blank',
            objectName: 'user',
            field: 'name',
            code: 'NotBlank',
          },
        ],
        path: '/users',
      },
      {
        reason: 'NotBlank',
        serverMessage: 'Validation failed',
        violations: [{ field: 'name', message: 'must not be blank' }],
      },
    ],
    [
      'Spring, bare',
      404,
      { timestamp: '2026-11-22T00:00:00.000+00:00', status: 404, error: 'Not Found', path: '/users/7' },
      { serverMessage: 'Not Found' },
    ],
    [
      'Rails',
      422,
      { errors: { email: ['has already been taken'], base: ['is closed'] } },
      {
        violations: [
          { field: 'email', message: 'has already been taken' },
          { field: '', message: 'is closed' },
        ],
      },
    ],
    [
      'Rails, whole sentences',
      422,
      { errors: ['Email is taken', 'Name is short'] },
      { serverMessage: 'Email is taken; Name is short' },
    ],
    ['Rails, by default', 404, { status: 404, error: 'Not Found' }, { serverMessage: 'Not Found' }],
    ['Phoenix, by default', 404, { errors: { detail: 'Not Found' } }, { serverMessage: 'Not Found' }],
    ['Phoenix, a bad request', 400, { errors: { detail: 'Bad Request' } }, { serverMessage: 'Bad Request' }],
    [
      'Phoenix, a changeset',
      422,
      { errors: { detail: ["can't be blank"] } },
      { violations: [{ field: 'detail', message: "can't be blank" }] },
    ],
    [
      'Laravel',
      422,
      { message: 'The email field is required.', errors: { email: ['The email field is required.'] } },
      {
        serverMessage: 'The email field is required.',
        violations: [{ field: 'email', message: 'The email field is required.' }],
      },
    ],
    ['Laravel, unauthenticated', 401, { message: 'Unauthenticated.' }, { serverMessage: 'Unauthenticated.' }],
    [
      'FastAPI with an object of its own',
      400,
      { detail: { code: 'OUT_OF_STOCK', message: 'Nothing is left' } },
      { reason: 'OUT_OF_STOCK', serverMessage: 'Nothing is left' },
    ],
    [
      'Joi',
      400,
      {
        message: 'Validation failed',
        details: [{ message: '"email" is required', path: ['user', 'email'], type: 'any.required' }],
      },
      {
        serverMessage: 'Validation failed',
        violations: [{ field: 'user.email', message: '"email" is required' }],
        details: expect.any(Array),
      },
    ],
    [
      'Google, the older form',
      400,
      {
        error: {
          code: 400,
          message: 'Invalid value',
          errors: [
            {
              message: 'Invalid value',
              domain: 'global',
              reason: 'invalidParameter',
              location: 'maxResults',
              locationType: 'parameter',
            },
          ],
        },
      },
      {
        reason: 'invalidParameter',
        serverMessage: 'Invalid value',
        violations: [{ field: 'maxResults', message: 'Invalid value' }],
      },
    ],
    ['Django REST, a list of sentences', 400, ['Invalid input.', 'No.'], { serverMessage: 'Invalid input.; No.' }],
    [
      'OData, the id inside',
      500,
      { error: { code: 'X', message: 'no', innererror: { 'request-id': 'a-1' } } },
      { reason: 'X', serverMessage: 'no', requestId: 'a-1' },
    ],
    [
      'AWS, with a capital',
      400,
      { __type: 'ThrottlingException', Message: 'slow' },
      { reason: 'ThrottlingException', serverMessage: 'slow' },
    ],
    [
      'GraphQL: the path of an answer is no field of the input',
      400,
      { errors: [{ message: 'no', path: ['user', 'email'], locations: [{ line: 1, column: 2 }] }] },
      {},
    ],
    [
      'ASP.NET, about the body as a whole',
      400,
      { title: 'no', status: 400, errors: { '': ['A non-empty request body is required.'] } },
      { serverMessage: 'no', violations: [{ field: '', message: 'A non-empty request body is required.' }] },
    ],
    [
      'a class of errors is no field',
      400,
      { errors: [{ name: 'SequelizeUniqueConstraintError', message: 'email must be unique' }] },
      {},
    ],
    [
      'words that stand beside each other are no violations',
      400,
      { reason: 'bad', id: '42', hint: 'call us' },
      { reason: 'bad' },
    ],
    [
      'details that are no sentences',
      400,
      { message: 'no', details: { resource: 'user', id: '42' } },
      { serverMessage: 'no', details: { resource: 'user', id: '42' } },
    ],
  ])('%s', (_, status, body, expected, type = 'application/json') => {
    const { reason, serverMessage, violations, details, requestId } = failure(status, { body, type })
    expect({ reason, serverMessage, violations, details, requestId }).toEqual({
      reason: undefined,
      serverMessage: undefined,
      violations: undefined,
      details: undefined,
      requestId: undefined,
      ...expected,
    })
  })

  it('RFC 9457', () => {
    const problem = {
      type: 'https://example.com/probs/out-of-credit',
      title: 'No credit',
      detail: 'Balance is 30',
      status: 200,
      balance: 30,
      errors: [{ detail: 'must be positive', pointer: '#/age' }],
    }
    const mapped = failure(403, { body: problem, type: 'application/problem+json' })
    expect(mapped).toMatchObject({
      code: 'permission_denied',
      status: 403,
      reason: 'out-of-credit',
      serverMessage: 'Balance is 30',
      problem,
      violations: [{ field: 'age', message: 'must be positive' }],
    })
    expect(says({ type: 'about:blank', title: 'Forbidden' }, 'application/problem+json')).toMatchObject({
      reason: undefined,
      serverMessage: 'Forbidden',
    })
    expect(
      says(
        { title: 'Invalid', 'invalid-params': [{ name: 'age', reason: 'must be positive' }] },
        'application/problem+json',
      ).violations,
    ).toEqual([{ field: 'age', message: 'must be positive' }])
  })

  it('an object of details is no list of violations, where the input was not refused', () => {
    expect(
      says({ error: { code: 'X', details: { hint: 'wait' } } }, 'application/json', 503).violations,
    ).toBeUndefined()
  })

  it("texts: a short plain one is the server's message, a gateway's page is not", () => {
    expect(says('upstream connect error', 'text/plain').serverMessage).toBe('upstream connect error')
    expect(says('no type', '').serverMessage).toBe('no type')
    expect(says('<html><h1>502 Bad Gateway</h1></html>', 'text/html').serverMessage).toBeUndefined()
    expect(says('<html>', 'text/plain').serverMessage).toBeUndefined()
    expect(says('', 'text/plain').serverMessage).toBeUndefined()
    expect(says('a page of no tags', 'text/html').serverMessage).toBeUndefined()
    expect(says({ message: [] }).serverMessage).toBeUndefined()
    expect(says('x'.repeat(100_000), 'text/plain').serverMessage?.length).toBeLessThanOrEqual(2000)
  })

  it('RFC 6750 and 9470: the challenge of a 401 names the reason', () => {
    const challenged = (value: string, body?: unknown) =>
      failure(401, { headers: { 'www-authenticate': value }, body }).reason
    expect(challenged('Bearer realm="x", error="invalid_token", error_description="expired"')).toBe('invalid_token')
    expect(
      challenged('Bearer error="insufficient_user_authentication", acr_values="a"', { error: 'Unauthorized' }),
    ).toBe('insufficient_user_authentication')
    expect(challenged('Bearer error=invalid_token')).toBe('invalid_token')
    expect(challenged('Basic realm="x"')).toBeUndefined()
  })

  it("at any other status the body's reason comes before that of a challenge", () => {
    const headers = { 'www-authenticate': 'Bearer error="insufficient_scope"' }
    expect(failure(403, { headers, body: { error: { code: 'NO_SCOPE' } } }).reason).toBe('NO_SCOPE')
    expect(failure(403, { headers, body: {} }).reason).toBe('insufficient_scope')
  })

  it('the message is ours: nothing of the server stands in it', () => {
    const canary = 'canary-4711'
    const mapped = failure(400, {
      headers: { 'x-a': canary },
      body: {
        error: { code: canary, message: canary, details: [{ field: canary, message: canary }] },
        request_id: canary,
      },
    })
    expect(mapped.message).not.toContain(canary)
  })
})
