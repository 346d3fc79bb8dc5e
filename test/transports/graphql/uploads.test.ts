import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import fc from 'fast-check'
import { createSchema, createYoga } from 'graphql-yoga'
import { type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { fileUploads, getQueries, mutation, persistedQueries, query, requestBatching } from 'polywire/graphql'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { extractFiles } from '../../../transports/graphql/file-uploads.ts'
import { failureOf, graphqlClient } from '../../support/graphql-client.ts'
import { FaultServer } from '../../support/servers/fault-server.ts'

const typeDefs = /* GraphQL */ `
  scalar File
  type Query { hello: String }
  input Album { title: String files: [File!]! }
  type Stored { name: String type: String size: Int text: String }
  type Mutation { upload(file: File!): Stored! album(input: Album!): [Stored!]! }
`
const stored = async (file: File) => ({ name: file.name, type: file.type, size: file.size, text: await file.text() })
const yoga = createYoga({
  logging: false,
  schema: createSchema({
    typeDefs,
    resolvers: {
      Mutation: {
        upload: (_: unknown, { file }: { file: File }) => stored(file),
        album: (_: unknown, { input }: { input: { files: File[] } }) => Promise.all(input.files.map(stored)),
      },
    },
  }),
})
const http = createServer((request, response) => void yoga(request, response))
beforeAll(() => new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve)))
afterAll(async () => {
  http.closeAllConnections()
  await new Promise((resolve) => http.close(resolve))
})
const url = () => `http://127.0.0.1:${(http.address() as AddressInfo).port}/graphql`

interface Stored {
  readonly name: string
  readonly type: string
  readonly size: number
  readonly text: string
}
const fields = '{ name type size text }'
const upload = mutation(`mutation Upload($file: File!) { upload(file: $file) ${fields} }`, {
  variables: type<{ file: unknown }>(),
  output: type<{ upload: Stored }>(),
})
const album = mutation(`mutation Album($input: Album!) { album(input: $input) ${fields} }`, {
  variables: type<{ input: { title: string; files: readonly unknown[] } }>(),
  output: type<{ album: readonly Stored[] }>(),
})
const features = [fileUploads()]
const chunks = async function* () {
  yield 'part one, '
  yield new TextEncoder().encode('part two é')
}

describe('fileUploads', () => {
  test.each<[string, () => unknown, Partial<Stored>]>([
    [
      'a File',
      () => new File(['héllo'], 'a "b".txt', { type: 'text/plain' }),
      { name: 'a %22b%22.txt', type: 'text/plain', text: 'héllo' },
    ],
    ['a Blob', () => new Blob(['x'], { type: 'image/png' }), { name: 'blob', type: 'image/png', text: 'x' }],
    ['bytes', () => new Uint8Array([104, 105]), { name: 'blob', type: 'application/octet-stream', text: 'hi' }],
    [
      'bytes with a name',
      () => ({ content: new Uint8Array([104]), filename: 'h.bin', type: 'x/y' }),
      { name: 'h.bin', type: 'x/y', text: 'h' },
    ],
    ['a Node stream', () => Readable.from(chunks()), { name: 'blob', text: 'part one, part two é' }],
    [
      'a stream with a name',
      () => ({ content: chunks(), filename: 's.txt', type: 'text/plain' }),
      { name: 's.txt', type: 'text/plain', text: 'part one, part two é' },
    ],
    [
      'a function that makes a stream',
      () => ({ content: chunks, filename: 'f.txt' }),
      { name: 'f.txt', text: 'part one, part two é' },
    ],
    ['an empty file', () => new File([], 'empty'), { name: 'empty', size: 0, text: '' }],
  ])('graphql-yoga takes %s', async (_, make, expected) => {
    await using client = graphqlClient(url(), { features })
    const { upload: found } = await client.call(upload, { file: make() })
    expect(found).toMatchObject(expected)
    expect(found.text).toBe(expected.text)
  })

  it('sends a list of files deep in an input, one file once', async () => {
    await using client = graphqlClient(url(), { features: [...features, getQueries(), requestBatching()] })
    const one = new File(['1'], 'one')
    const input = { title: 'Trip', files: [one, new File(['2'], 'two'), one] }
    const { album: found } = await client.call(album, { input })
    expect(found.map(({ name, text }) => name + text)).toEqual(['one1', 'two2', 'one1'])
    expect(input.files[0]).toBe(one)
  })

  it('writes operations, map and files in this order, asks for a preflight, and leaves plain calls alone', async () => {
    await using server = await FaultServer.start()
    const data = { data: { upload: {}, album: [], hello: 'x' } }
    server.on('/graphql', async (exchange) => {
      await exchange.body()
      exchange.reply(200, data)
    })
    await using client = graphqlClient(`${server.url}/graphql`, { features: [...features, persistedQueries()] })
    const file = new File(['abc'], 'a.txt', { type: 'text/plain' })
    await client.call(album, { input: { title: 't', files: [file, file] } })
    await client.call(query('{ hello }', { output: type<unknown>() }))
    const [first, second] = server.exchanges
    expect(first?.headers['apollo-require-preflight']).toBe('true')
    const contentType = String(first?.headers['content-type'])
    expect(contentType).toMatch(/^multipart\/form-data; boundary=/)
    const bytes = await (first as NonNullable<typeof first>).body()
    expect(Number(first?.headers['content-length'])).toBe(bytes.byteLength)
    const form = await new Response(bytes as never, { headers: { 'content-type': contentType } }).formData()
    expect([...form.keys()]).toEqual(['operations', 'map', '0'])
    const operations = JSON.parse(String(form.get('operations')))
    expect(operations.variables).toEqual({ input: { title: 't', files: [null, null] } })
    expect(operations.extensions.persistedQuery.version).toBe(1)
    expect(JSON.parse(String(form.get('map')))).toEqual({ 0: ['variables.input.files.0', 'variables.input.files.1'] })
    expect(second?.headers['content-type']).toBe('application/json')
  })

  it('refuses a File without it, naming the path, and a file under a name that no path can tell', async () => {
    const file = new File(['x'], 'x')
    await using plain = graphqlClient(url())
    expect(await failureOf(plain.call(upload, { file }))).toMatchObject({ code: 'invalid_argument', sent: 'no' })
    await using client = graphqlClient(url(), { features })
    const dotted = { input: { title: '', files: [{ 'a.b': file }] } }
    expect(await failureOf(client.call(album, dotted))).toMatchObject({ code: 'invalid_argument', sent: 'no' })
    const unreadable = Object.defineProperty({}, 'title', {
      enumerable: true,
      get: () => {
        throw new Error('canary')
      },
    })
    const unread = await failureOf(client.call(album, { input: unreadable as { title: string; files: [] } }))
    expect(unread).toMatchObject({ code: 'invalid_argument', sent: 'no' })
  })

  it('refuses a length that is none as what it is', async () => {
    await using client = graphqlClient(url(), { features })
    const file = { content: () => Readable.from(['x']), length: Number.NaN }
    expect(await failureOf(client.call(upload, { file }))).toMatchObject({ code: 'invalid_argument', sent: 'no' })
  })

  test.each<[string, () => unknown, number]>([
    ['a File', () => new File(['whole'], 'x'), 2],
    ['a function that makes a stream', () => ({ content: () => Readable.from(['who', 'le']) }), 2],
    ['a stream, which is sent once', () => Readable.from(['who', 'le']), 1],
  ])('sends %s again where that is safe, never a part of it', async (_, make, times) => {
    await using server = await FaultServer.start()
    const bodies: string[] = []
    server.on('/graphql', async (exchange) => {
      bodies.push((await exchange.body()).toString())
      if (exchange.nth === 1) exchange.reply(503, '', { 'retry-after': '0' })
      else exchange.reply(200, { data: { upload: {} } })
    })
    await using client = graphqlClient(`${server.url}/graphql`, { features, idempotency: 'idempotency-key' })
    const result = await client.call(upload, { file: make() }).then(
      () => 'sent',
      (error) => error.notRetried,
    )
    expect(result).toBe(times === 2 ? 'sent' : 'body_not_replayable')
    expect(bodies).toHaveLength(times)
    for (const body of bodies) expect(body).toContain('whole')
  })

  it('is replayed whole after a refresh, but for a stream that is gone', async () => {
    await using server = await FaultServer.start()
    server.on('/graphql', async (exchange) => {
      const text = (await exchange.body()).toString()
      if (exchange.headers.authorization === 'Bearer new' && text.includes('whole'))
        exchange.reply(200, { data: { upload: {} } })
      else exchange.reply(401)
    })
    const auth = bearerAuth(() => 'old', { refresh: async () => 'new' })
    await using client = graphqlClient(`${server.url}/graphql`, { features, auth })
    await client.call(upload, { file: new File(['whole'], 'x') })
    await using other = graphqlClient(`${server.url}/graphql`, {
      features,
      auth: bearerAuth(() => 'old', { refresh: async () => 'new' }),
    })
    expect(await failureOf(other.call(upload, { file: Readable.from(['whole']) }))).toMatchObject({
      code: 'unauthenticated',
    })
    expect(server.exchanges).toHaveLength(3)
  })

  it('tells how far it is', async () => {
    const steps: unknown[] = []
    await using client = graphqlClient(url(), { features })
    const onUploadProgress = (step: unknown) => void steps.push(step)
    await client.call(upload, { file: new Blob(['x'.repeat(200_000)]) }, { onUploadProgress })
    expect(steps.length).toBeGreaterThan(0)
  })

  it('finds every file and changes nothing else, whatever the variables', () => {
    const leaf = fc.oneof(
      fc.jsonValue(),
      fc.constant(null).map(() => new Blob(['x'])),
    )
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.array(tie('tree'), { maxLength: 4 }),
        fc.dictionary(
          fc.string().filter((name) => !name.includes('.') && name !== '__proto__'),
          tie('tree'),
          { maxKeys: 4 },
        ),
      ),
    }))
    const call = { operation: { binding: {} } }
    fc.assert(
      fc.property(tree, (variables) => {
        const { variables: written, files } = extractFiles({ call, members: { variables } } as never)
        for (const [file, paths] of files)
          for (const path of paths) {
            const steps = path.split('.').slice(1)
            expect(steps.reduce((value: any, name) => value[name], variables)).toBe(file)
            expect(steps.reduce((value: any, name) => value[name], written)).toBe(null)
          }
        const text = (value: unknown) => JSON.stringify(value, (_, each) => (each instanceof Blob ? null : each))
        expect(JSON.stringify(written)).toBe(text(variables))
      }),
    )
  })
})
