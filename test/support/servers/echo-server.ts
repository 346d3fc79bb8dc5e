import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** An HTTP server that answers with what it was asked: method, URL and headers, as JSON. */
export async function echoServer() {
  const server = createServer((request, response) => {
    const { method, url, headers } = request
    request.resume()
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ method, url, headers }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections()
      return new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
