import fc from 'fast-check'
import { createClient, isCallError } from 'polywire'
import { type Description, describe as describeDocument, described, type ParameterStyle } from 'polywire/openapi'
import { openapi, restTransport } from 'polywire/rest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  readParameter,
  writeCookieParameter,
  writeHeaderParameter,
  writePathParameter,
  writeQueryParameter,
} from '../../../transports/rest/parameter-styles.ts'
import type { Json } from '../../support/openapi/document.ts'
import { type OpenApiMock, startOpenApiMock } from '../../support/openapi/mock-server.ts'
import { rawPairs, readCookie, readHeader, readPath, readStyled, texts } from '../../support/openapi/parameters.ts'

const query = (value: unknown, style: ParameterStyle, name = 'color') =>
  writeQueryParameter(readParameter(name, 'query', style), value, undefined, undefined).slice(1)
const path = (value: unknown, style: ParameterStyle) =>
  writePathParameter(readParameter('color', 'path', style), value, undefined)
const header = (value: unknown, style: ParameterStyle) =>
  writeHeaderParameter(readParameter('color', 'header', style), value, undefined)
const cookie = (value: unknown, style: ParameterStyle) =>
  writeCookieParameter(readParameter('color', 'cookie', style), value, undefined)

it('leads out of its segment of the path by no value, whatever the description allows', () => {
  const reserved = { style: 'simple', allowReserved: true } as const
  expect(path('../../admin', reserved)).toBe('..%2F..%2Fadmin')
  expect(path('a?b#c/d', reserved)).toBe('a%3Fb%23c%2Fd')
  expect(path('a:b@c,d;e$', reserved)).toBe('a:b@c,d;e$')
  expect(path(['..', '/x'], reserved)).toBe('..,%2Fx')
  for (const step of ['.', '..']) expect(() => path(step, reserved)).toThrow(/dot segment/)
})

const list = ['blue', 'black', 'brown']
const object = { R: 100, G: 200, B: 150 }

describe('the examples of the specification', () => {
  it.each([
    [path('blue', 'simple'), 'blue'],
    [path(list, 'simple'), 'blue,black,brown'],
    [path(object, 'simple'), 'R,100,G,200,B,150'],
    [path(object, { style: 'simple', explode: true }), 'R=100,G=200,B=150'],
    [path('blue', 'label'), '.blue'],
    [path(list, 'label'), '.blue,black,brown'],
    [path(list, { style: 'label', explode: true }), '.blue.black.brown'],
    [path(object, 'label'), '.R,100,G,200,B,150'],
    [path(object, { style: 'label', explode: true }), '.R=100.G=200.B=150'],
    [path('blue', 'matrix'), ';color=blue'],
    [path('', 'matrix'), ';color'],
    [path(list, 'matrix'), ';color=blue,black,brown'],
    [path(list, { style: 'matrix', explode: true }), ';color=blue;color=black;color=brown'],
    [path(object, 'matrix'), ';color=R,100,G,200,B,150'],
    [path(object, { style: 'matrix', explode: true }), ';R=100;G=200;B=150'],
    [query('blue', 'form'), 'color=blue'],
    [query('', 'form'), 'color='],
    [query(list, 'form'), 'color=blue&color=black&color=brown'],
    [query(list, { style: 'form', explode: false }), 'color=blue,black,brown'],
    [query(object, 'form'), 'R=100&G=200&B=150'],
    [query(object, { style: 'form', explode: false }), 'color=R,100,G,200,B,150'],
    [query(list, 'spaceDelimited'), 'color=blue%20black%20brown'],
    [query(object, 'spaceDelimited'), 'color=R%20100%20G%20200%20B%20150'],
    [query(list, 'pipeDelimited'), 'color=blue%7Cblack%7Cbrown'],
    [query(object, 'pipeDelimited'), 'color=R%7C100%7CG%7C200%7CB%7C150'],
    [decodeURIComponent(query(object, 'deepObject')), 'color[R]=100&color[G]=200&color[B]=150'],
    [decodeURIComponent(query({ a: [{ b: 1 }] }, 'deepObject')), 'color[a][0][b]=1'],
    [query({ a: 1 }, 'json'), 'color=%7B%22a%22%3A1%7D'],
    [query('a/b?c:d@e!,;$', { allowReserved: true }), 'color=a/b?c:d@e!,;$'],
    [query('a&b=c#d+e[]', { allowReserved: true }), 'color=a%26b%3Dc%23d%2Be%5B%5D'],
    [header(list, 'simple'), 'blue,black,brown'],
    [header(object, 'simple'), 'R,100,G,200,B,150'],
    [header(object, { explode: true }), 'R=100,G=200,B=150'],
    [header({ a: 'ü' }, 'json'), '{"a":"\\u00fc"}'],
    [cookie('blue', 'form'), 'color=blue'],
    [cookie(list, { explode: false }), 'color=blue,black,brown'],
    [cookie(list, 'cookie'), 'color=blue; color=black; color=brown'],
    [cookie(object, 'form'), 'R=100; G=200; B=150'],
  ])('%s', (written, wanted) => {
    expect(written).toBe(wanted)
  })
})

// A server reads back what was passed, whatever it is, or the call is refused.

const text = fc.string({ unit: 'binary' }).filter((value) => !/\p{Cs}/u.test(value))
const scalar = fc.oneof(text, fc.integer(), fc.boolean(), fc.double({ noNaN: true, noDefaultInfinity: true }))
const name = fc.stringMatching(/^[a-z][a-zA-Z0-9_.-]{0,8}$/).filter((each) => each !== 'color')
const shapes = {
  scalar: { value: scalar, schema: { type: 'string' } },
  array: {
    value: fc.array(scalar, { minLength: 1, maxLength: 4 }),
    schema: { type: 'array', items: { type: 'string' } },
  },
  object: {
    value: fc.dictionary(name, scalar, { minKeys: 1, maxKeys: 4, noNullPrototype: true }),
    schema: { type: 'object', additionalProperties: { type: 'string' } },
  },
}

function roundTrip(write: (value: unknown) => string | undefined, read: (written: string, value: unknown) => unknown) {
  return (value: unknown): void => {
    let written: string | undefined
    try {
      written = write(value)
    } catch (error) {
      expect(isCallError(error) && [error.code, error.sent]).toEqual(['invalid_argument', 'no'])
      return
    }
    expect(read(written as string, value)).toEqual(texts(value))
  }
}

const withNames = (schema: Json, value: unknown): Json =>
  schema.type === 'object'
    ? {
        ...schema,
        properties: Object.fromEntries(Object.keys(value as object).map((key) => [key, { type: 'string' }])),
      }
    : schema

describe('every style is read back as it was passed, or refused', () => {
  for (const [shape, { value, schema }] of Object.entries(shapes)) {
    for (const style of ['form', 'spaceDelimited', 'pipeDelimited', 'deepObject'])
      for (const explode of [true, false])
        for (const allowReserved of [true, false])
          it(`query: ${style}, ${shape}, explode ${explode}, allowReserved ${allowReserved}`, () => {
            const of = { style, explode, allowReserved }
            const check = roundTrip(
              (given) => query(given, of),
              (written, given) => {
                const pairs = new Set(rawPairs(written))
                return readStyled({}, 'color', { style, explode, schema: withNames(schema, given) }, pairs)
              },
            )
            fc.assert(fc.property(value as fc.Arbitrary<unknown>, check))
          })
    for (const style of ['simple', 'label', 'matrix'])
      for (const explode of [true, false])
        it(`path: ${style}, ${shape}, explode ${explode}`, () => {
          const check = roundTrip(
            (given) => path(given, { style, explode }),
            (written) => {
              // A URL parser leaves it where it is.
              expect(new URL(`http://a/b/${written}/c`).pathname).toBe(`/b/${written}/c`)
              return readPath({}, { name: 'color', style, explode, schema }, written)
            },
          )
          fc.assert(fc.property(value as fc.Arbitrary<unknown>, check))
        })
    for (const explode of [true, false]) {
      it(`header: ${shape}, explode ${explode}`, () => {
        const check = roundTrip(
          (given) => header(given, { explode }),
          (written) => readHeader({}, { schema, explode }, written),
        )
        fc.assert(fc.property(value as fc.Arbitrary<unknown>, check))
      })
      for (const style of ['form', 'cookie'])
        it(`cookie: ${style}, ${shape}, explode ${explode}`, () => {
          const check = roundTrip(
            (given) => cookie(given, { style, explode }),
            (written, given) => {
              const pairs = new Set(rawPairs(written.replaceAll('; ', '&')))
              return readCookie({}, { name: 'color', style, explode, schema: withNames(schema, given) }, pairs)
            },
          )
          fc.assert(fc.property(value as fc.Arbitrary<unknown>, check))
        })
    }
  }

  it('query, as JSON: whatever JSON has', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const pairs = rawPairs(query(value, 'json'))
        expect(JSON.parse(decodeURIComponent(pairs[0]?.[1] as string))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })
})

// All of them at once, through the facade.

const texty = { type: 'array', items: { type: 'string' } }
const point = { type: 'object', properties: { x: { type: 'integer' }, y: { type: 'integer' } } }
const document: Json = {
  openapi: '3.1.0',
  paths: {
    '/things/{id}/{where}/{tags}': {
      parameters: [
        { name: 'id', in: 'path', required: true, schema: { type: 'string' } },
        { name: 'where', in: 'path', required: true, style: 'matrix', explode: true, schema: point },
        { name: 'tags', in: 'path', required: true, style: 'label', schema: texty },
      ],
      get: {
        parameters: [
          { name: 'ids', in: 'query', style: 'form', explode: false, schema: texty },
          { name: 'spaced', in: 'query', style: 'spaceDelimited', schema: texty },
          { name: 'piped', in: 'query', style: 'pipeDelimited', schema: texty },
          {
            name: 'filter',
            in: 'query',
            style: 'deepObject',
            explode: true,
            schema: { type: 'object', additionalProperties: texty },
          },
          { name: 'at', in: 'query', content: { 'application/json': { schema: point } } },
          { name: 'url', in: 'query', allowReserved: true, schema: { type: 'string' } },
          { name: 'page', in: 'query', schema: { type: 'integer' } },
          { name: 'point', in: 'query', schema: point },
          { name: 'X-Trace', in: 'header', schema: texty },
          { name: 'X-Point', in: 'header', explode: true, schema: point },
          { name: 'X-Json', in: 'header', content: { 'application/json': { schema: point } } },
          { name: 'session', in: 'cookie', schema: { type: 'string' } },
          { name: 'flags', in: 'cookie', explode: false, schema: texty },
        ],
        responses: { 204: {} },
      },
    },
    '/uploads': {
      post: {
        requestBody: {
          required: true,
          content: {
            'multipart/form-data': {
              schema: {
                type: 'object',
                properties: {
                  title: { type: 'string' },
                  meta: { type: 'object', additionalProperties: { type: 'string' } },
                  options: { type: 'object', additionalProperties: { type: 'string' } },
                  lines: texty,
                  file: { type: 'string', format: 'binary' },
                },
              },
              encoding: { options: { style: 'deepObject', explode: true }, file: { contentType: 'text/csv' } },
            },
            'application/x-www-form-urlencoded': {
              schema: { type: 'object', properties: { title: { type: 'string' }, meta: point, lines: texty } },
            },
          },
        },
        responses: { 204: {} },
      },
    },
  },
}

describe('through the facade', () => {
  let mock: OpenApiMock
  beforeAll(async () => {
    mock = await startOpenApiMock(document)
  })
  afterAll(() => mock[Symbol.asyncDispose]())
  const connect = () => createClient({ transports: { rest: restTransport({ baseUrl: mock.url }) }, retry: false })
  const api: any = openapi<any>({ description: described(describeDocument(document)) })
  const thing = '/things/{id}/{where}/{tags}'
  const params = { id: 'a/b', where: { x: 1, y: 2 }, tags: ['r', 'g'] }
  const inQuery = {
    ids: ['1', 'a,b'],
    spaced: ['a', 'b|c'],
    piped: ['a b', 'c'],
    filter: { tags: ['x', 'y'], state: ['open'] },
    at: { x: 3, y: 4 },
    url: 'https://example.com/?a=1&b=2#c',
    page: 2,
    point: { x: 5, y: 6 },
  }
  const headers = { 'X-Trace': ['a', 'b'], 'X-Point': { x: 7, y: 8 }, 'X-Json': { x: 9, y: 10 } }
  const cookies = { session: 'a b;c', flags: ['on', 'off'] }

  it('every place and style, flat: the place of each is known', async () => {
    const client = connect()
    const call = api.get(thing) as any
    await client.call(call, { ...params, ...inQuery, ...headers, ...cookies } as any)
    expect(mock.last).toMatchObject({
      path: texts(params),
      query: texts(inQuery),
      header: texts(headers),
      cookie: texts(cookies),
    })
    await client.close()
  })

  it('the same nested, with names of headers in any case', async () => {
    const client = connect()
    const given = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
    await client.call(
      api.get(thing, { shape: 'nested' }) as any,
      { params, query: inQuery, headers: given, cookies } as any,
    )
    expect(mock.last).toMatchObject({
      path: texts(params),
      query: texts(inQuery),
      header: texts(headers),
      cookie: texts(cookies),
    })
    await client.close()
  })

  it('a multipart form: JSON for an object, a part for each item, the type of a file, deepObject where it is said', async () => {
    const client = connect()
    const file = new TextEncoder().encode('a;b')
    const form = { title: 't', meta: { a: 'b' }, options: { c: 'd' }, lines: ['1', '2'], file }
    const create = api.post('/uploads', { contentType: 'multipart/form-data' }) as any
    await client.call(create, form as any)
    expect(mock.last.body).toEqual({ ...form, file: new Uint8Array(file) })
    await client.close()
  })

  it('a urlencoded form of the same operation: an object is JSON where nothing else is said', async () => {
    const client = connect()
    const create = api.post('/uploads', { contentType: 'application/x-www-form-urlencoded' }) as any
    const form = { title: 'a&b', meta: { x: 1, y: 2 }, lines: ['1', '2'] }
    await client.call(create, form as any)
    expect(mock.last.body).toEqual(texts(form))
    await client.close()
  })

  it('what changes while a call waits does not change what is sent', async () => {
    const auth = {
      credential: () => new Promise((resolve) => setTimeout(resolve, 5, { headers: { authorization: 'a' } })),
    }
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: mock.url, auth: auth as never }) },
      retry: false,
    })
    const given = structuredClone({ ...params, ...inQuery, ...headers })
    const call = client.call(api.get(thing) as any, given as any)
    given.where.x = 99
    given.filter.tags.push('z')
    given['X-Trace'].push('z')
    await call
    expect(mock.last).toMatchObject({ path: texts(params), query: texts(inQuery), header: texts(headers) })
    await client.close()
  })

  it.each([
    [{ ids: [{ a: 1 }] }, "'ids' of the query is nested more deeply than the style 'form' can write"],
    [{ spaced: ['a b'] }, "'spaced' of the query has an item that holds what parts the items from each other"],
    [{ piped: ['a|b'] }, "'piped' of the query has an item that holds"],
    [{ at: { x: 1n } }, "'x' of 'at' of the query is a BigInt, which JSON cannot carry"],
    [{ page: Number.NaN }, "'page' of the query has no text form (not a finite number)"],
    [{ point: new Map([['x', 1]]) }, "'point' of the query is a Map, which has no text"],
    [{ ids: [new Date(Number.NaN)] }, "'ids' of the query has no text form (an invalid date?)"],
    [{ url: '\ud800' }, "'url' of the query holds half a surrogate pair"],
    [{ tags: [] }, "'tags' of the path is empty"],
    [{ where: undefined }, "'where' of the path is missing"],
    [{ tags: ['.'] }, "'tags' of the path is a dot segment"],
    [{ tags: ['\u0000'] }, "'tags' of the path holds a control character or half a surrogate pair"],
    [{ 'X-Trace': ['a,b'] }, "'X-Trace' of the headers has an item that holds"],
    [{ 'X-Trace': ['a\r\nb'] }, "the value of the header 'x-trace' holds what no header may hold"],
    [{ 'X-Point': { x: { y: 1 } } }, "'X-Point' of the headers is nested more deeply"],
    [{ session: Symbol('s') }, "'session' of the cookie has no text form (a symbol)"],
  ])('bad input is refused by its name, and nothing is sent: %o', async (wrong, message) => {
    const client = connect()
    const calling: Promise<unknown> = client.call(api.get(thing), { ...params, ...wrong } as any)
    const error = await calling.catch((reason: unknown) => reason)
    expect(isCallError(error) && { code: error.code, sent: error.sent }).toEqual({
      code: 'invalid_argument',
      sent: 'no',
    })
    expect(String(error)).toContain(message)
    await client.close()
  })

  it.each([
    [
      { query: { a: 'loud' } },
      "'a' of the query: a style is one of form, spaceDelimited, pipeDelimited, deepObject, json",
    ],
    [{ path: { id: 'form' } }, "'id' of the path: a style is one of simple, label, matrix, json"],
    [{ header: { a: null } }, "'a' of the header: a style is one of simple, json"],
    [{ queries: {} }, "it holds path, query, header, cookie, body, isBodyRequired, and no 'queries'"],
    [null, 'it holds path, query, header, cookie, body, isBodyRequired'],
    [{ query: 5 }, 'query is an object of styles'],
    [{ body: { 'multipart/form-data': { a: 'simple' } } }, "'a' of the form: a style is one of form"],
  ])('a description that is wrong is refused where the operation is declared: %o', (wrong, message) => {
    const wrongly: any = openapi<any>({ description: described({ 'GET /a/{id}': wrong } as unknown as Description) })
    expect(() => wrongly.get('/a/{id}')).toThrow(`the description of 'GET /a/{id}': ${message}`)
  })

  it('describe() of whatever JSON: a description that openapi() takes, or one error, and no end that it never comes to (random)', () => {
    const names = fc.constantFrom(
      'paths',
      'components',
      'parameters',
      '$ref',
      'get',
      'post',
      'in',
      'name',
      'schema',
      'style',
      'explode',
      'requestBody',
      'content',
      'application/json',
      'multipart/form-data',
      'properties',
      'encoding',
      'allOf',
      '__proto__',
    )
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 7 },
        fc.constantFrom<unknown>(
          'query',
          'path',
          'header',
          'form',
          'a',
          true,
          null,
          5,
          '#/components/a',
          '#/components/b',
          '#',
          '#/paths',
        ),
        fc.array(tie('tree'), { maxLength: 2 }),
        fc.dictionary(names, tie('tree'), { maxKeys: 4, noNullPrototype: true }),
      ),
    }))
    const document = fc.record({
      openapi: fc.constantFrom('3.0.3', '3.1.0', '3.2.0'),
      paths: fc.dictionary(fc.constantFrom('/a', '/a/{id}', 'b', '__proto__'), tree, {
        maxKeys: 2,
        noNullPrototype: true,
      }),
      components: fc.dictionary(fc.constantFrom('a', 'b'), fc.oneof(tree, fc.constant({ $ref: '#/components/b' })), {
        maxKeys: 2,
        noNullPrototype: true,
      }),
    })
    fc.assert(
      fc.property(document, (given) => {
        let description: Description
        try {
          description = describeDocument(given)
        } catch (error) {
          expect(error instanceof TypeError && error.message).toMatch(/^describe\(\)/)
          return
        }
        expect(JSON.parse(JSON.stringify(description))).toEqual(description)
      }),
      { numRuns: 1500 },
    )
  })

  it('describe() comes to its end with schemas that hold themselves many times', () => {
    const self = { allOf: Array.from({ length: 12 }, () => ({ $ref: '#/components/schemas/self' })) }
    const parameters = [{ in: 'query', name: 'a', schema: self }]
    const requestBody = { required: true, content: { 'application/json': { schema: self } } }
    const paths = { '/a': { post: { parameters, requestBody } } }
    expect(describeDocument({ openapi: '3.1.0', components: { schemas: { self } }, paths })).toEqual({
      'POST /a': { query: { a: 'form' }, isBodyRequired: true },
    })
  })

  it('describe() refuses what is no document of OpenAPI 3, and what a reference does not lead to', () => {
    expect(() => describeDocument({ swagger: '2.0' })).toThrow('this is Swagger 2.0: convert it first')
    expect(() => describeDocument({})).toThrow('describe() takes a document of OpenAPI 3')
    expect(() => describeDocument(null as never)).toThrow('describe() takes a document of OpenAPI 3')
    const to = ($ref: string) => ({ openapi: '3.0.0', paths: { '/a': { get: { parameters: [{ $ref }] } } } })
    expect(() => describeDocument(to('#/nowhere'))).toThrow("'#/nowhere' leads nowhere")
    expect(() => describeDocument(to('#/%E0%A4/a'))).toThrow("'#/%E0%A4/a' leads nowhere")
    expect(() => describeDocument(to('other.yaml#/a'))).toThrow("cannot follow 'other.yaml#/a': bundle the document")
    expect(() => describeDocument(to('#/paths/~1a/get/parameters/0'))).toThrow('cannot follow')
    expect(() => described([] as never)).toThrow('described() takes what describe() makes')
  })
})
