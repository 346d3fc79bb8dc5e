import { createServer, type Socket } from 'node:net'

/**
 * A server in a process of its own that answers with prepared bytes, so that it never limits what is measured.
 *
 * `GET /sse/N` streams N events, `WatchItems` 10,000 messages; any other path gives the small JSON answer.
 */
const small = JSON.stringify({
  id: 42,
  name: 'Ada Lovelace',
  email: 'ada@example.com',
  roles: ['admin', 'author'],
  active: true,
  score: 99.5,
})
const json = response('application/json', small)
const graphql = response('application/json', JSON.stringify({ data: { user: JSON.parse(small) } }))
const grpc = response('application/grpc-web+proto', grpcBody(1))
const grpcStream = response('application/grpc-web+proto', grpcBody(10_000))

const server = createServer({ noDelay: true }, (socket) => {
  let buffered = ''
  socket.on('error', () => {})
  socket.on('data', (chunk) => {
    buffered += chunk.toString('latin1')
    for (;;) {
      const head = buffered.indexOf('\r\n\r\n')
      if (head < 0) return
      const length = /content-length: *(\d+)/i.exec(buffered.slice(0, head))?.[1] ?? '0'
      if (buffered.length < head + 4 + Number(length)) return
      const path = buffered.slice(buffered.indexOf(' ') + 1, buffered.indexOf(' HTTP/'))
      buffered = buffered.slice(head + 4 + Number(length))
      answer(socket, path)
    }
  })
})

function answer(socket: Socket, path: string): void {
  if (path.startsWith('/sse/')) socket.write(eventStream(Number(path.slice(5))))
  else if (path.startsWith('/graphql')) socket.write(graphql)
  else if (path.endsWith('/WatchItems')) socket.write(grpcStream)
  else if (path.startsWith('/polywire.')) socket.write(grpc)
  else socket.write(json)
}

function response(type: string, body: string | Buffer): Buffer {
  const bytes = Buffer.from(body)
  return Buffer.concat([
    Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-length: ${bytes.length}\r\n\r\n`),
    bytes,
  ])
}

/** Messages with a text as field 2 (an Item with its name; where there are more, events with an Item), and a trailer frame with status 0. */
function grpcBody(count: number): Buffer {
  const text = Buffer.from('Ada Lovelace')
  const item = Buffer.concat([Buffer.from([18, text.length]), text])
  const message = count === 1 ? item : Buffer.concat([Buffer.from([8, 7, 18, item.length]), item])
  const trailer = Buffer.from('grpc-status: 0\r\n')
  const frame = (flag: number, bytes: Buffer) => Buffer.concat([Buffer.from([flag, 0, 0, 0, bytes.length]), bytes])
  return Buffer.concat([...Array.from({ length: count }, () => frame(0, message)), frame(0x80, trailer)])
}

const streams = new Map<number, Buffer>()
function eventStream(count: number): Buffer {
  let bytes = streams.get(count)
  if (!bytes) {
    const events = Array.from(
      { length: count },
      (_, n) => `id: ${n + 1}\ndata: {"n":${n + 1},"symbol":"ACME","price":123.45}\n\n`,
    ).join('')
    const chunk = `${Buffer.byteLength(events).toString(16)}\r\n${events}\r\n0\r\n\r\n`
    bytes = Buffer.from(
      `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n${chunk}`,
    )
    streams.set(count, bytes)
  }
  return bytes
}

server.listen(0, '127.0.0.1', () => process.send?.((server.address() as { port: number }).port))
process.on('disconnect', () => process.exit())
