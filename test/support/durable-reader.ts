/**
 * A process that reads a stream from where the one before it stopped: `<kind> <url> <folder> [<last>]`; prints what it has
 * handled, and goes no further than `last`: it is killed there, however slow the one that kills is.
 */
import { createClient, storedCursor, type } from 'polywire'
import { graphqlTransport, subscription } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { events, sseTransport } from 'polywire/sse'
import { channel, websocketTransport } from 'polywire/websocket'
import { fileStore } from './file-store.ts'
import { ShopService } from './proto/gen/polywire/test/v1/shop_pb.ts'

const [kind, url = '', folder = '', last] = process.argv.slice(2)
const http = url.replace(/^ws/, 'http')
const client = createClient({
  transports: {
    sse: sseTransport({ baseUrl: http }),
    websocket: websocketTransport({ url }),
    graphql: graphqlTransport({ url: http, subscriptionUrl: url }),
    'grpc-web': grpcWebTransport({ baseUrl: http }),
  },
})
const cursor = storedCursor(fileStore(folder), 'reader', { everyMs: 20 })

const feeds: Record<string, () => AsyncIterable<number>> = {
  async *sse() {
    const watch = events('/feed', { message: type<unknown>() }, { data: 'text', until: ({ data }) => data === 'done' })
    for await (const { data } of client.call(watch, {}, { cursor })) yield Number(data)
  },
  websocket: () => client.call(channel('feed:a', { receive: type<number>() }), undefined, { cursor }),
  async *graphql() {
    const count = subscription('subscription Count($to: Int!, $after: Int) { count(to: $to, after: $after) }', {
      variables: type<{ to: number; after?: number }>(),
      output: type<{ count: number }>(),
      resume: { cursor: (data) => data.count, apply: (variables, after) => ({ ...variables, after: Number(after) }) },
    })
    for await (const { count: n } of client.call(count, { to: 200 }, { cursor })) yield n
  },
  async *grpc() {
    const watch = rpc(ShopService.method.watchItems, {
      resume: {
        cursor: (event) => String(event.sequence),
        apply: (input, after) => ({ ...input, after: BigInt(after) }),
      },
    })
    for await (const { sequence } of client.call(watch, { count: 200 }, { cursor })) yield Number(sequence)
  },
}

for await (const n of feeds[kind as string]?.() ?? []) {
  await new Promise((resolve) => setTimeout(resolve, 2))
  console.log(n)
  if (n === Number(last)) await new Promise(() => setInterval(() => {}, 1000))
  if (kind === 'websocket' && n === 200) break
}
await client.close()
