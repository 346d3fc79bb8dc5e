// Run by caller.test.ts: prints, for each way of calling, the line of the call and the stack of its error.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { createClient, type } from 'polywire'
import { cursorPages, get, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { channel, websocketTransport } from 'polywire/websocket'

const server = createServer((request, response) => {
  request.resume()
  response.writeHead(404).end()
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const baseUrl = `http://127.0.0.1:${server.address().port}`
const client = createClient({
  retry: false,
  transports: {
    rest: restTransport({ baseUrl }),
    sse: sseTransport({ baseUrl }),
    websocket: websocketTransport({ url: baseUrl.replace('http', 'ws') }),
  },
})
const read = get('/a', { output: type() })
const pages = { items: 'items', next: 'next', param: 'after' }
const list = get('/a', { query: type(), output: type(), paginate: cursorPages(pages) })
const api = client.bind({ read, list, watch: events('/a', {}), chat: channel('chat') })

const here = () => Number(/caller\.mjs:(\d+)/.exec(new Error().stack.split('\n')[2])[1])
const results = {}
let line = 0

async function direct() {
  line = here() + 1
  await api.read({})
}
async function inHelper() {
  const load = async () => {
    line = here() + 1
    return await api.read({})
  }
  await load()
}
async function reply() {
  line = here() + 1
  await api.read.reply({})
}
async function call() {
  line = here() + 1
  await client.call(read, {})
}
async function all() {
  line = here() + 1
  await Promise.all([api.read({}), api.read({})])
}
async function chained() {
  line = here() + 1
  await api.read({}).then((value) => value)
}
async function items() {
  line = here() + 1
  for await (const _item of api.list.items({}));
}
async function loop() {
  line = here() + 1
  for await (const _event of api.watch({}));
}
async function opened() {
  line = here() + 1
  await api.watch({}).opened
}
async function send() {
  const room = api.chat({})
  line = here() + 1
  await room.send({})
}
async function next() {
  const room = api.chat({})
  const loop = room[Symbol.asyncIterator]()
  line = here() + 1
  await loop.next()
}
async function badInput() {
  line = here() + 1
  await api.read({}, { timeout: 5 })
}
async function rejects() {
  line = here() + 1
  await assert.rejects(api.read({}), (error) => {
    results.rejects = { line, stack: error.stack }
    return true
  })
  throw { stack: results.rejects.stack }
}

for (const run of [direct, inHelper, reply, call, all, chained, items, loop, opened, send, next, badInput, rejects])
  await run().catch((error) => {
    results[run.name] = { line, stack: error.stack }
  })
console.log(JSON.stringify(results))
await client.close()
server.close()
