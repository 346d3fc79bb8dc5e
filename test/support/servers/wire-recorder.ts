import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One request as it came over the wire. */
export interface WireRequest {
  readonly method: string
  /** Path and query. */
  readonly url: string
  /** The whole URL, with the host that was asked for. */
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

type Answer = (request: WireRequest, response: ServerResponse) => unknown

/** A server that keeps every request byte for byte, and answers as it is told. */
export interface WireRecorder {
  readonly url: string
  readonly seen: WireRequest[]
  /** Answers from now on, one request each; the last one answers all that follow. */
  answer(...answers: Answer[]): void
  [Symbol.asyncDispose](): Promise<void>
}

const json: Answer = (_, response) => {
  response.setHeader('content-type', 'application/json')
  response.end('{"data":{}}')
}

/** Starts one; close it by `await using`. */
export async function startWireRecorder(hostname = '127.0.0.1'): Promise<WireRecorder> {
  const seen: WireRequest[] = []
  let answers: Answer[] = [json]
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const whole = toWire(request, Buffer.concat(chunks))
    seen.push(whole)
    const answer = (answers.length > 1 ? answers.shift() : answers[0]) as Answer
    answer(whole, response)
  })
  await new Promise<void>((resolve) => server.listen(0, hostname, resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${hostname}:${port}`,
    seen,
    answer: (...next) => {
      answers = next
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function toWire({ method = '', url = '', headers }: IncomingMessage, body: Buffer): WireRequest {
  const record: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) record[name] = [value].flat().join(', ')
  return { method, url, target: `http://${headers.host}${url}`, headers: record, body }
}
