import { describe, expect, it, test } from 'vitest'
import { HeaderMap } from '../../../src/core/call/header-map.ts'
import { type GraphQLAnswer, graphqlFailure } from '../../../transports/graphql/errors.ts'
import { toGraphQLResult } from '../../../transports/graphql/response.ts'

interface Given extends Partial<Omit<GraphQLAnswer, 'headers' | 'result'>> {
  readonly headers?: Record<string, string>
}

/** What a response body means; a query by default. */
function failure(body: unknown, { headers = {}, ...given }: Given = {}) {
  const result = toGraphQLResult(body)
  if (!result) throw new Error('no GraphQL response')
  const document = { kind: 'query', rootFields: 1 } as const
  return graphqlFailure({
    document,
    policy: 'none',
    status: 200,
    wallNow: 0,
    ...given,
    result,
    headers: new HeaderMap(headers),
  })
}
const coded = (code: unknown, rest: object = {}) => ({ message: 'text of the server', extensions: { code, ...rest } })
const mutation = { document: { kind: 'mutation', rootFields: 1 } } as const
const severalRoots = { document: { kind: 'mutation', rootFields: 2 } } as const

describe('extensions.code → code', () => {
  test.each([
    ['BAD_USER_INPUT', 'invalid_argument', false],
    ['GRAPHQL_PARSE_FAILED', 'invalid_argument', false],
    ['GRAPHQL_VALIDATION_FAILED', 'invalid_argument', false],
    ['BAD_REQUEST', 'invalid_argument', false],
    ['OPERATION_RESOLUTION_FAILURE', 'invalid_argument', false],
    ['validation-failed', 'invalid_argument', false],
    ['PERSISTED_QUERY_MISMATCH', 'invalid_argument', false],
    ['OPERATION_TIMEOUT', 'deadline_exceeded', false],
    ['NOT_FOUND', 'not_found', false],
    ['PERSISTED_QUERY_NOT_FOUND', 'not_found', false],
    ['ALREADY_EXISTS', 'already_exists', false],
    ['', 'unknown', false],
    ['CONFLICT', 'aborted', false],
    ['FORBIDDEN', 'permission_denied', false],
    ['access-denied', 'permission_denied', false],
    ['UNAUTHENTICATED', 'unauthenticated', false],
    ['unauthenticated', 'unauthenticated', false],
    ['UNAUTHORIZED', 'unauthenticated', false],
    ['invalid-jwt', 'unauthenticated', false],
    ['THROTTLED', 'resource_exhausted', true],
    ['RATE_LIMITED', 'resource_exhausted', true],
    ['RATE_LIMIT_EXCEEDED', 'resource_exhausted', true],
    ['TOO_MANY_REQUESTS', 'resource_exhausted', true],
    ['RESOURCE_EXHAUSTED', 'resource_exhausted', true],
    ['429', 'resource_exhausted', true],
    [429, 'resource_exhausted', true],
    [401, 'unauthenticated', false],
    ['403', 'permission_denied', false],
    ['PAYLOAD_TOO_LARGE', 'resource_exhausted', false],
    ['MAX_COST_EXCEEDED', 'resource_exhausted', false],
    ['PERSISTED_QUERY_NOT_SUPPORTED', 'unimplemented', false],
    ['INTERNAL_SERVER_ERROR', 'internal', false],
    ['SERVICE_UNAVAILABLE', 'unavailable', true],
    ['503', 'unavailable', true],
    ['1062', 'unknown', false],
    ['200', 'unknown', false],
    [500, 'internal', false],
    ['SOMETHING_ELSE', 'unknown', false],
    ['constructor', 'unknown', false],
    ['__proto__', 'unknown', false],
    [{ nested: true }, 'unknown', false],
  ])('%j → %s, retryable %s', (code, expected, isRetryable) => {
    expect(failure({ errors: [coded(code)] })).toMatchObject({
      code: expected,
      isRetryable,
      sent: 'yes',
      phase: 'body',
    })
    expect(failure({ errors: [coded(code)], data: null })).toMatchObject({ code: expected, isRetryable })
    expect(failure({ errors: [coded(code)], data: { a: null } })).toMatchObject({ code: expected, isRetryable })
  })

  it('reads the type that GitHub writes, and the HTTP status among the extensions', () => {
    expect(failure({ errors: [{ type: 'RATE_LIMITED', message: '' }] })).toMatchObject({
      code: 'resource_exhausted',
      reason: 'RATE_LIMITED',
    })
    expect(failure({ errors: [{ message: '', extensions: { http: { status: 403 } } }] })?.code).toBe(
      'permission_denied',
    )
    expect(failure({ errors: [coded('MINE', { http: { status: 503 } })] })).toMatchObject({
      code: 'unavailable',
      reason: 'MINE',
    })
  })

  it('falls back to the HTTP status where no code is known', () => {
    const codes = [400, 401, 403, 404, 405, 408, 409, 413, 422, 425, 429, 500, 502, 503, 504, 507, 294].map(
      (status) => {
        const { code, isRetryable } = failure({ errors: [{ message: 'x' }] }, { status }) ?? {}
        return `${status} ${code}${isRetryable ? ' again' : ''}`
      },
    )
    expect(codes).toEqual([
      '400 invalid_argument',
      '401 unauthenticated',
      '403 permission_denied',
      '404 not_found',
      '405 unimplemented',
      '408 deadline_exceeded again',
      '409 aborted',
      '413 resource_exhausted',
      '422 invalid_argument',
      '425 unavailable again',
      '429 resource_exhausted again',
      '500 internal',
      '502 unavailable again',
      '503 unavailable again',
      '504 unavailable again',
      '507 resource_exhausted',
      '294 invalid_argument',
    ])
  })

  it('that says nothing refuses the request as a whole, where there is no data and no status that says more', () => {
    const errors = [{ message: 'Cannot query field "nme"' }, { message: 'and more', locations: [] }]
    for (const status of [200, 203, 400, 418, 422]) {
      expect(failure({ errors }, { status })).toMatchObject({
        code: 'invalid_argument',
        isRetryable: false,
        violations: [{ field: '' }, { field: '' }],
      })
    }
    expect(failure({ errors: { message: 'one, as an object' } })?.code).toBe('invalid_argument')
    expect(failure({ errors: [{}] })?.code).toBe('invalid_argument')
    expect(failure({ errors }, { status: 500 })?.code).toBe('internal')
    expect(failure({ errors }, { status: 502 })).toMatchObject({ code: 'unavailable', isRetryable: true })
    expect(failure({ errors }, { status: 401 })?.code).toBe('unauthenticated')
    // What was executed, or has a code of the server's own, is no refusal of the request.
    expect(failure({ errors, data: null })?.code).toBe('unknown')
    expect(failure({ errors, data: { a: 1 } })?.code).toBe('unknown')
    expect(failure({ errors: [...errors, { message: 'x', path: ['a'] }] })?.code).toBe('unknown')
    expect(failure({ errors: [...errors, coded('MINE')] })?.code).toBe('unknown')
  })

  it('that stands in the document, but at no field, refuses the request as a whole, though the server says data: null (async-graphql)', () => {
    const locations = [{ line: 1, column: 3 }]
    const refused = { message: 'Unknown field "nope" on type "Query".', locations }
    for (const given of [{}, { status: 400 }, mutation])
      expect(failure({ data: null, errors: [refused] }, given)).toMatchObject({
        code: 'invalid_argument',
        serverMessage: refused.message,
        violations: [{ field: '', message: refused.message }],
        isRetryable: false,
      })
    expect(failure({ data: null, errors: [refused] }, { status: 502 })?.code).toBe('unavailable')
    // A field has failed, something else has, or the server has a code of its own.
    const others = [{ ...refused, path: ['nope'] }, { message: 'x' }, { message: 'x', locations: [] }]
    for (const error of [...others, { message: 'x', locations: {} }, { ...coded('MINE'), locations }])
      expect(failure({ data: null, errors: [refused, error] })?.code).toBe('unknown')
    expect(failure({ data: {}, errors: [refused] })?.code).toBe('unknown')
  })

  it('is no refusal of the request where a field has failed, though the server answers 400 (Ariadne)', () => {
    const failed = { message: 'boom', locations: [{ line: 1, column: 2 }], path: ['user'] }
    expect(failure({ data: null, errors: [failed] }, { status: 400 })).toMatchObject({
      code: 'unknown',
      status: 400,
      serverMessage: 'boom',
      isRetryable: false,
    })
    expect(failure({ data: null, errors: [failed, { message: 'x' }] }, { status: 422 })?.code).toBe('unknown')
    expect(failure({ errors: [failed] }, { status: 400 })?.code).toBe('invalid_argument')
    expect(failure({ data: null, errors: [failed] }, { status: 401 })?.code).toBe('unauthenticated')
  })

  it('lets the code win over the status', () => {
    expect(failure({ errors: [coded('UNAUTHENTICATED')] }, { status: 200 })?.code).toBe('unauthenticated')
    expect(failure({ errors: [coded('NOT_FOUND')] }, { status: 503 })).toMatchObject({
      code: 'not_found',
      isRetryable: false,
    })
  })

  it('takes of several errors the one that policies need to see', () => {
    const errors = [
      coded('INTERNAL_SERVER_ERROR'),
      coded('SERVICE_UNAVAILABLE'),
      coded('THROTTLED'),
      coded('UNAUTHENTICATED'),
    ]
    expect(failure({ errors })?.code).toBe('unauthenticated')
    expect(failure({ errors: errors.slice(0, 3) })).toMatchObject({ code: 'resource_exhausted', isThrottled: true })
    expect(failure({ errors: errors.slice(0, 2) })?.code).toBe('unavailable')
    expect(failure({ errors: [{ message: 'x' }, coded('NOT_FOUND')] })?.code).toBe('not_found')
  })
})

describe('the policy', () => {
  const partial = { data: { a: 1, b: null }, errors: [coded('INTERNAL_SERVER_ERROR', {})] }

  it('throws errors with none, and lets them pass with all and ignore', () => {
    expect(failure(partial)).toMatchObject({ code: 'internal', isRetryable: false, body: partial })
    expect(failure(partial, { policy: 'all' })).toBeUndefined()
    expect(failure(partial, { policy: 'ignore' })).toBeUndefined()
    expect(failure({ data: null, errors: [coded('NOT_FOUND')] }, { policy: 'ignore' })).toBeUndefined()
    expect(failure({ errors: [coded('GRAPHQL_VALIDATION_FAILED')] }, { policy: 'all', status: 400 })).toBeUndefined()
  })

  test.each(['all', 'ignore'] as const)('%s hides no refused credential, throttling or outage', (policy) => {
    for (const code of ['THROTTLED', 'UNAUTHENTICATED', 'SERVICE_UNAVAILABLE']) {
      for (const data of [undefined, null, { a: null }])
        expect(failure({ data, errors: [coded(code)] }, { policy })).toBeDefined()
    }
  })

  it('never calls partial data retryable', () => {
    for (const code of ['THROTTLED', 'SERVICE_UNAVAILABLE']) {
      const thrown = failure({ data: { a: 1 }, errors: [coded(code, { retryAfter: 3 })] })
      expect(thrown).toMatchObject({ isRetryable: false })
      expect(thrown?.retryAfterMs).toBeUndefined()
      expect(failure({ data: { a: 1 }, errors: [coded(code)] }, { policy: 'all' })).toBeUndefined()
    }
  })
})

describe('a mutation', () => {
  const refused = (path?: unknown[]) => ({ ...coded('THROTTLED'), ...(path && { path }) })

  it('did not run where the request was refused as a whole: there is no data', () => {
    expect(failure({ errors: [refused()] }, mutation)?.isUnexecuted).toBe(true)
    expect(failure({ errors: [refused(), refused()] }, severalRoots)?.isUnexecuted).toBe(true)
  })

  it('may have run where a field was refused, by what it called: a root field by itself, too', () => {
    const fragments = { document: { kind: 'mutation', rootFields: Number.POSITIVE_INFINITY } } as const
    for (const [result, answer] of [
      [{ errors: [refused()], data: null }, mutation],
      [{ errors: [refused(['a'])] }, mutation],
      [{ errors: [refused(['a'])], data: null }, mutation],
      [{ errors: [refused(['a'])], data: { a: null } }, mutation],
      [{ errors: [refused(['a', 'x'])], data: null }, mutation],
      [{ errors: [refused(['a']), refused(['b'])], data: { a: null, b: null } }, severalRoots],
      [{ errors: [refused(['b'])], data: { a: null, b: null } }, severalRoots],
      [{ errors: [refused(['b'])], data: null }, fragments],
    ] as const)
      expect(failure(result, answer)?.isUnexecuted, JSON.stringify(result)).toBe(false)
  })

  it('is not unexecuted by an error that only says that it failed', () => {
    expect(failure({ errors: [coded('SERVICE_UNAVAILABLE')] }, mutation)).toMatchObject({
      isRetryable: true,
      isUnexecuted: false,
    })
    expect(failure({ errors: [coded('INTERNAL_SERVER_ERROR')] }, mutation)?.isUnexecuted).toBe(false)
    const busy = { ...mutation, status: 503, headers: { 'retry-after': '1' } }
    expect(failure({ errors: [{ message: 'busy' }] }, busy)).toMatchObject({ isUnexecuted: true, retryAfterMs: 1000 })
  })

  it('that may have run is not replayed with a refreshed credential either', () => {
    const late = { ...coded('UNAUTHENTICATED'), path: ['a', 'x'] }
    const one = { ...coded('UNAUTHENTICATED'), path: ['b'] }
    const fragments = { document: { kind: 'mutation', rootFields: Number.POSITIVE_INFINITY } } as const
    expect(failure({ errors: [late], data: null }, mutation)?.isRetryForbidden).toBe(true)
    expect(failure({ errors: [one], data: null }, severalRoots)?.isRetryForbidden).toBe(true)
    expect(failure({ errors: [one], data: { a: null, b: null } }, severalRoots)?.isRetryForbidden).toBe(true)
    expect(failure({ errors: [one], data: null }, fragments)?.isRetryForbidden).toBe(true)
    // Each root field was refused by itself.
    expect(failure({ errors: [one], data: { b: null } }, mutation)?.isRetryForbidden).toBe(false)
    expect(failure({ errors: [{ ...one, path: ['a'] }, one], data: null }, severalRoots)?.isRetryForbidden).toBe(false)
    expect(failure({ errors: [coded('UNAUTHENTICATED')] }, mutation)?.isRetryForbidden).toBe(false)
    expect(failure({ errors: [late], data: null })?.isRetryForbidden).toBe(false)
  })
})

describe('the wait', () => {
  const cost = (requested: unknown, available: unknown, restoreRate: unknown, maximum = 1000) => ({
    errors: [coded('THROTTLED')],
    extensions: {
      cost: {
        requestedQueryCost: requested,
        throttleStatus: { maximumAvailable: maximum, currentlyAvailable: available, restoreRate },
      },
    },
  })

  it('is the longest that any error asks for, however many there are', () => {
    const errors = Array.from({ length: 200_000 }, (_, at) => coded('THROTTLED', { retryAfter: at === 7 ? 9 : 1 }))
    expect(failure({ errors })?.retryAfterMs).toBe(9000)
  })

  it('is Retry-After, then extensions.retryAfter, then what the bucket lacks', () => {
    const all = { ...cost(102, 2, 50), errors: [coded('THROTTLED', { retryAfter: 3 })] }
    expect(failure(all, { headers: { 'retry-after': '7' } })?.retryAfterMs).toBe(7000)
    expect(failure(all)?.retryAfterMs).toBe(3000)
    expect(failure(cost(102, 2, 50))?.retryAfterMs).toBe(2000)
    expect(failure(cost(103, 2, 50))?.retryAfterMs).toBe(3000)
    expect(failure({ errors: [coded('THROTTLED', { retryAfter: '1.5' })] })?.retryAfterMs).toBe(1500)
    expect(
      failure({ errors: [coded('THROTTLED', { retryAfter: 1 }), coded('THROTTLED', { retryAfter: 4 })] })?.retryAfterMs,
    ).toBe(4000)
    expect(failure({ errors: [coded('THROTTLED')], extensions: { retryAfter: 9 } })?.retryAfterMs).toBe(9000)
  })

  test.each([
    ['a bucket that does not refill', cost(100, 0, 0)],
    ['one that leaks', cost(100, 0, -1)],
    ['a rate that is no number', cost(100, 0, 'fast')],
    ['no cost', { errors: [coded('THROTTLED')] }],
    ['a negative wait', { errors: [coded('THROTTLED', { retryAfter: -1 })] }],
    ['a wait that is no number', { errors: [coded('THROTTLED', { retryAfter: 'soon' })] }],
    ['a wait that is a date', { errors: [coded('THROTTLED', { retryAfter: '2026-11-29T12:00:00Z' })] }],
    ['a wait that has no text', { errors: [coded('THROTTLED', { retryAfter: { toString: 1 } })] }],
  ])('is not known from %s', (_name, body) => {
    expect(failure(body)?.retryAfterMs).toBeUndefined()
  })

  it('is nothing where the bucket holds enough', () => {
    expect(failure(cost(10, 500, 50))?.retryAfterMs).toBe(0)
  })

  it('is not waited for where the query costs more than the bucket can hold', () => {
    expect(failure(cost(2000, 1000, 50, 1000))?.isRetryForbidden).toBe(true)
  })
})

describe('a server that answers in GraphQL and says more among its headers', () => {
  const throttled = { errors: [coded('RATE_LIMITED')] }

  it('forbids another attempt by x-should-retry, but not another credential', () => {
    const headers = { 'x-should-retry': 'false' }
    for (const body of [throttled, { errors: [coded('SERVICE_UNAVAILABLE')] }])
      expect(failure(body, { headers })?.isRetryForbidden).toBe(true)
    expect(failure({ errors: [coded('UNAUTHENTICATED')] }, { headers })?.isRetryForbidden).toBe(false)
    expect(failure(throttled)?.isRetryForbidden).toBe(false)
  })

  it('names a wait by the reset of its RateLimit headers, where it is throttled and says no other', () => {
    const headers = { 'ratelimit-reset': '7' }
    expect(failure(throttled, { headers })?.retryAfterMs).toBe(7000)
    expect(failure(throttled, { headers: { ...headers, 'retry-after': 'soon' } })?.retryAfterMs).toBeUndefined()
    expect(failure({ errors: [coded('RATE_LIMITED', { retryAfter: 2 })] }, { headers })?.retryAfterMs).toBe(2000)
    expect(failure({ errors: [coded('SERVICE_UNAVAILABLE')] }, { headers })?.retryAfterMs).toBeUndefined()
  })
})

describe('what the error carries', () => {
  it('names fields, and keeps the server’s words out of the message', () => {
    const errors = [
      { message: 'too short', path: ['create', 'name'], extensions: { code: 'BAD_USER_INPUT' } },
      { message: 'bad id', extensions: { code: 'BAD_USER_INPUT', argumentName: 'id' } },
    ]
    const thrown = failure({ errors }, { headers: { 'x-request-id': 'r1' } })
    expect(thrown?.message).toBe('the server refused the document or its variables (BAD_USER_INPUT)')
    expect(thrown?.violations).toEqual([
      { field: 'create.name', message: 'too short' },
      { field: 'id', message: 'bad id' },
    ])
    expect(thrown).toMatchObject({
      reason: 'BAD_USER_INPUT',
      serverMessage: 'too short',
      details: errors,
      requestId: 'r1',
    })
  })

  it('takes as a reason only what looks like a code', () => {
    expect(failure({ errors: [coded('your password hunter2 is wrong')] })?.reason).toBeUndefined()
    expect(failure({ errors: [coded('X'.repeat(65))] })?.reason).toBeUndefined()
  })
})

describe('toGraphQLResult', () => {
  test.each([
    [{ data: { a: 1 } }, { data: { a: 1 } }],
    [{ data: { a: 1 }, errors: null, extensions: null }, { data: { a: 1 } }],
    [{ data: { a: 1 }, errors: [] }, { data: { a: 1 } }],
    [
      { data: null, errors: { message: 'one' } },
      { data: null, errors: [{ message: 'one' }] },
    ],
    [{ errors: [{ message: 'x' }, null, 'y'] }, { data: undefined, errors: [{ message: 'x' }, { message: 'y' }] }],
    [
      { data: { a: 1 }, errors: 'boom' },
      { data: { a: 1 }, errors: [{ message: 'boom' }] },
    ],
    [
      { data: { a: 1 }, errors: [5] },
      { data: { a: 1 }, errors: [{ message: 5 }] },
    ],
    [{ data: { a: 1 }, errors: [null] }, { data: { a: 1 } }],
    [
      { data: { a: 1 }, extensions: { t: 1 } },
      { data: { a: 1 }, extensions: { t: 1 } },
    ],
  ])('reads %j', (body, expected) => {
    expect(toGraphQLResult(body)).toEqual(expected)
  })

  test.each([
    [{}],
    [{ data: null }],
    [{ data: [] }],
    [{ data: 'x' }],
    [{ errors: 'x' }],
    [[]],
    [null],
    ['x'],
    [1],
    [{ message: 'Unauthorized' }],
    [[{ data: {} }]],
  ])('refuses %j', (body) => {
    expect(toGraphQLResult(body)).toBeUndefined()
  })
})
