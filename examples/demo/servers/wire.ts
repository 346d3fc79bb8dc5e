import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One of the five servers. */
export interface Running {
  /** Scheme, host and port. */
  readonly origin: string
  /** What it is made with. */
  readonly library: string
  close(): Promise<void>
}

/** Listens on a free port of loopback. */
export async function listen(
  library: string,
  listener: RequestListener,
  prepare?: (server: Server) => void,
): Promise<Running> {
  const server = createServer(listener)
  prepare?.(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    library,
    close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      return closed
    },
  }
}

/** Sends half of an answer, then resets the connection. */
export function cut(response: ServerResponse, contentType: string, whole: string | Uint8Array): void {
  const bytes = Buffer.from(whole as string)
  response.writeHead(200, { 'content-type': contentType, 'content-length': bytes.length })
  // A reset may overtake bytes that were not read yet, so it comes a little later.
  response.write(bytes.subarray(0, bytes.length / 2), () => setTimeout(() => response.socket?.resetAndDestroy(), 5))
}

/** Milliseconds of a `grpc-timeout` header; undefined where there is none. */
export function remainingMs({ headers }: Pick<IncomingMessage, 'headers'>): number | undefined {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(String(headers['grpc-timeout'] ?? '')) ?? []
  if (digits === undefined || unit === undefined) return undefined
  return Number(digits) * (unitMs[unit] ?? Number.NaN)
}

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
