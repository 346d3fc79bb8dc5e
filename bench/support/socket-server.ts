/** A WebSocket server in a process of its own: asked for n messages, it pushes them as prebuilt frames, as fast as TCP takes them. */
import type { AddressInfo, Socket } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'

const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
server.on('listening', () => process.send?.((server.address() as AddressInfo).port))
server.on('connection', (socket) => {
  let id = 0
  socket.on('message', (data) => {
    const { type, channel, ref, data: count } = JSON.parse(String(data))
    if (type === 'subscribe') socket.send(JSON.stringify({ type: 'subscribed', channel, ref, id }))
    if (type !== 'message') return
    push(socket, id, count)
    id += count
  })
})

/** Past `ws`, whose own sending would cost more than what is measured. */
function push(socket: WebSocket, from: number, count: number): void {
  const raw = (socket as unknown as { _socket: Socket })._socket
  const data = { symbol: 'ACME', price: 123.45, size: 100, side: 'buy' }
  let sent = 0
  const write = (): void => {
    while (sent < count) {
      const frames: Buffer[] = []
      for (let n = 0; n < 500 && sent < count; n++) {
        sent++
        frames.push(frame(JSON.stringify({ type: 'data', channel: 'ticks', id: from + sent, data })))
      }
      if (!raw.write(Buffer.concat(frames))) {
        raw.once('drain', write)
        return
      }
    }
  }
  write()
}

function frame(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)])
}
