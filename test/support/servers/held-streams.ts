import { createServer } from 'node:net'

/** A process of its own that answers every request with an event stream of one event, and holds it open. */
const open = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nid: 1\ndata: {"n":1}\n\n'

const server = createServer((socket) => {
  socket.on('error', () => {})
  socket.once('data', () => socket.write(open))
})

server.listen({ port: 0, host: '127.0.0.1', backlog: 8192 }, () =>
  process.send?.((server.address() as { port: number }).port),
)
process.on('disconnect', () => process.exit())
