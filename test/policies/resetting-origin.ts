import { type AddressInfo, createServer } from 'node:net'

/** An origin that takes connections and resets each with the first byte that comes: dead, but one can count. */
export interface ResettingOrigin {
  readonly origin: string
  readonly connections: number
  close(): Promise<void>
}

export async function resettingOrigin(): Promise<ResettingOrigin> {
  let connections = 0
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      connections++
      socket.resetAndDestroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get connections() {
      return connections
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
