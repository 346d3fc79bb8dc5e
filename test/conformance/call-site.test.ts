import { adapt, type Client, createClient, type Operation, type Schema, type, type Unary } from 'polywire'
import { query } from 'polywire/graphql'
import { rpc } from 'polywire/grpc-web'
import { get } from 'polywire/rest'
import { memoryTransport } from 'polywire/testing'
import { request } from 'polywire/websocket'
import { afterEach, describe, expect, expectTypeOf, it } from 'vitest'
import { ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { graphql } from './harnesses/graphql.ts'
import { grpcWeb } from './harnesses/grpc-web.ts'
import { rest } from './harnesses/rest.ts'
import { websocket } from './harnesses/websocket.ts'
import type { Peer } from './support/harness.ts'

interface Message {
  readonly text: string
}
const message: Schema<Message, Message> = type<Message>()
type Echo = Unary<Message, Message>

/** The call site: it knows the contract, and no protocol. */
async function shout(api: { readonly echo: Echo }, text: string): Promise<string> {
  const { message: echoed, attempts } = await api.echo.reply({ text }, { timeoutMs: 5000 })
  return `${echoed.text.toUpperCase()} in ${attempts} attempt`
}

/** The same operation over each protocol that has answers; only here the protocol is named. */
const operations = {
  rest: get('/echo', { query: message, output: message }),
  graphql: adapt(
    query('query Read($text: String!) { echo(text: $text) }', { variables: message, output: type<{ echo: string }>() }),
    { output: ({ echo }): Message => ({ text: echo }) },
  ),
  'grpc-web': adapt(rpc(ShopService.method.putItem), {
    input: ({ text }: Message) => ({ name: text }),
    output: ({ name }): Message => ({ text: name }),
  }),
  websocket: request('echo', { input: message, output: message, idempotent: true }),
}

describe('one call site, whatever the protocol', () => {
  const open: { close(): Promise<void> }[] = []
  afterEach(async () => {
    for (const each of open.splice(0).reverse()) await each.close()
  })

  it.each([rest, graphql, grpcWeb('own'), websocket])('$protocol', async (harness) => {
    const peer: Peer = await harness.start()
    open.push(peer)
    const client: Client<any> = createClient({ transports: { [harness.protocol]: harness.transport(peer.origin) } })
    open.push(client)
    const operation = operations[harness.protocol as keyof typeof operations] as Operation<string, Echo>
    expect(await shout(client.bind({ echo: operation }), 'hello')).toBe('HELLO in 1 attempt')
  })

  it('and a transport of the same name may stand in for another host', async () => {
    const handle = ({ input }: { input: unknown }) => (input as { query: Message }).query
    const client = createClient({ transports: { rest: memoryTransport({ protocol: 'rest', handle }) } })
    open.push(client)
    expect(await shout(client.bind({ echo: operations.rest }), 'hello')).toBe('HELLO in 1 attempt')
  })

  it('is the same to the compiler', () => {
    type CallOf<O> = O extends Operation<any, infer C> ? C : never
    expectTypeOf<Parameters<CallOf<(typeof operations)['rest']>>[0]>().toEqualTypeOf<Message>()
    expectTypeOf<CallOf<(typeof operations)['rest']>>().toExtend<Echo>()
    expectTypeOf<CallOf<(typeof operations)['graphql']>>().toExtend<Echo>()
    expectTypeOf<CallOf<(typeof operations)['grpc-web']>>().toExtend<Echo>()
    expectTypeOf<CallOf<(typeof operations)['websocket']>>().toExtend<Echo>()
  })
})
