import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { createClient, isCallError, type Schema, type } from 'polywire'
import { type Codec, get, post, put, type RestTransportOptions, restTransport } from 'polywire/rest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ItemSchema } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { answer, echo, type RestServer, startRestServer } from '../../support/servers/rest-server.ts'

let server: RestServer
beforeAll(async () => {
  server = await startRestServer()
})
afterAll(() => server[Symbol.asyncDispose]())
const clients: { close(): Promise<void> }[] = []
afterEach(async () => {
  server.answer(echo)
  server.seen.length = 0
  for (const client of clients.splice(0)) await client.close()
})
function connect(codecs: RestTransportOptions['codecs']) {
  const client = createClient({ transports: { rest: restTransport({ baseUrl: server.url, codecs }) }, retry: false })
  clients.push(client)
  return client
}
const failed = async (call: Promise<unknown>) => {
  const error = await call.then(
    (message) => expect.fail(`it succeeded: ${JSON.stringify(message)}`),
    (thrown: unknown) => thrown,
  )
  if (!isCallError(error)) throw error
  return error
}
/** Answers with these bytes under this type. */
const give = (type: string, body: string | Uint8Array) =>
  server.answer((_, reply) => reply.header('content-type', type).send(Buffer.from(body)))

const xml: Codec = {
  serialize: ({ name }: { name: string }) => `<user><name>${name}</name></user>`,
  parse: (bytes, charset) => {
    const found = /<name>(.*)<\/name>/.exec(new TextDecoder(charset).decode(bytes))
    if (!found) throw new Error('no XML of ours')
    return { name: found[1] }
  },
}

describe('other media types through codecs', () => {
  it('XML goes and comes by its type, by its suffix, in its charset', async () => {
    const client = connect({ 'application/xml': xml, '+xml': xml })
    const user = type<{ name: string }>()
    give('application/xml; charset=iso-8859-1', Buffer.from('<user><name>Zo\xeb</name></user>', 'latin1'))
    const save = put('/user', { contentType: 'application/xml', accept: 'application/xml', body: user, output: user })
    expect(await client.call(save, { name: 'Zoë' })).toEqual({ name: 'Zoë' })
    expect(server.last.body.toString()).toBe('<user><name>Zoë</name></user>')
    expect(server.last.headers).toMatchObject({ 'content-type': 'application/xml', accept: 'application/xml' })
    give('application/atom+xml', '<name>feed</name>')
    expect(await client.call(get('/feed', { output: user }))).toEqual({ name: 'feed' })
  })

  it('CSV of a table', async () => {
    const csv: Codec = {
      serialize: (rows: string[][]) => rows.map((row) => row.join(',')).join('\n'),
      parse: (bytes) =>
        new TextDecoder()
          .decode(bytes)
          .split('\n')
          .map((row) => row.split(',')),
    }
    const client = connect({ 'text/csv': csv })
    const table = type<string[][]>()
    give('text/csv', 'a,b\n1,2')
    const save = post('/table', { shape: 'nested', contentType: 'text/csv', body: table, output: table })
    expect(await client.call(save, { body: [['x', 'y']] })).toEqual([
      ['a', 'b'],
      ['1', '2'],
    ])
    expect(server.last.body.toString()).toBe('x,y')
  })

  it('protobuf, by a codec that the type of a message tells, and by schemas of the operation', async () => {
    const item = create(ItemSchema, { id: 7n, name: 'tea' })
    const bytes = toBinary(ItemSchema, item)
    const codec: Codec = {
      serialize: (message) => toBinary(ItemSchema, message),
      parse: (given) => fromBinary(ItemSchema, given),
    }
    const client = connect({ 'application/x-protobuf': codec })
    give('application/x-protobuf', bytes)
    const save = put('/items', {
      shape: 'nested',
      contentType: 'application/x-protobuf',
      body: type<typeof item>(),
      output: type<typeof item>(),
    })
    expect(await client.call(save, { body: item })).toEqual(item)
    expect(new Uint8Array(server.last.body)).toEqual(bytes)
    const standard = {
      version: 1,
      vendor: 'test',
      types: undefined,
      validate: (given: unknown) => ({ value: fromBinary(ItemSchema, given as Uint8Array) }),
    }
    const output: Schema<Uint8Array, typeof item> = { '~standard': standard }
    expect(await connect(undefined).call(get('/items', { response: 'bytes', output }))).toEqual(item)
  })

  it('what a codec throws is one error, with its cause: before anything is sent, or when the server did it', async () => {
    const cause = new Error('a slip')
    const broken: Codec = {
      serialize: () => {
        throw cause
      },
      parse: () => {
        throw cause
      },
    }
    const client = connect({ 'text/x': broken })
    const body = type<{ a: number }>()
    const unsent = await failed(client.call(post('/a', { contentType: 'text/x', body }), { a: 1 }))
    expect(unsent).toMatchObject({ code: 'invalid_argument', sent: 'no', cause })
    expect(server.seen).toEqual([])
    give('text/x', 'x')
    const done = await failed(client.call(get('/a', { output: body })))
    expect(done).toMatchObject({ code: 'internal', sent: 'yes', cause })
    server.answer(answer(404, 'x', { 'content-type': 'text/x' }))
    expect(await failed(client.call(get('/a')))).toMatchObject({ code: 'not_found', status: 404 })
  })
})
