import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { createHandler } from 'graphql-sse/lib/use/http'
import { createYoga } from 'graphql-yoga'
import { Ledger, type TestContext, testSchema } from './graphql-schema.ts'

/** One request as it came, its body unread. */
export interface SseRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
}

/** What answers in the place of the server, where it returns true. */
export type Intercept = (request: IncomingMessage, response: ServerResponse, nth: number) => boolean

const contextOf = (headers: { readonly authorization?: string | undefined }): TestContext => ({
  token: headers.authorization?.replace('Bearer ', ''),
})

/** A server of GraphQL over SSE on 127.0.0.1: graphql-sse's own handler, or graphql-yoga. */
export class GraphQLSseServer implements AsyncDisposable {
  readonly ledger = new Ledger()
  /** Every request so far. */
  readonly requests: SseRequest[] = []
  readonly #http: Server
  readonly #sockets = new Set<Socket>()

  private constructor(kind: 'graphql-sse' | 'graphql-yoga', intercept: Intercept) {
    const schema = testSchema(this.ledger) as never
    const handle =
      kind === 'graphql-sse'
        ? createHandler<Record<string, unknown>>({
            schema,
            context: ({ raw }) => ({ ...contextOf(raw.headers) }),
          })
        : createYoga<{ req: IncomingMessage }>({
            schema,
            maskedErrors: false,
            logging: false,
            graphiql: false,
            context: ({ req }) => contextOf(req.headers),
          })
    this.#http = createServer((request, response) => {
      const { method = '', url = '', headers } = request
      this.requests.push({ method, url, headers })
      response.once('close', () => this.ledger.changed())
      this.ledger.changed()
      if (!intercept(request, response, this.requests.length)) void handle(request, response)
    })
    this.#http.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
  }

  static async start(
    kind: 'graphql-sse' | 'graphql-yoga' = 'graphql-sse',
    intercept: Intercept = () => false,
  ): Promise<GraphQLSseServer> {
    const server = new GraphQLSseServer(kind, intercept)
    await new Promise<void>((resolve) => server.#http.listen(0, '127.0.0.1', resolve))
    return server
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}/graphql`
  }

  /** Requests of a method so far. */
  of(method: string): SseRequest[] {
    return this.requests.filter((request) => request.method === method)
  }

  /** Resets every connection. */
  drop(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  /** Resolves when `condition` holds; looked at after each request, response and subscription. */
  until(condition: () => boolean): Promise<void> {
    return this.ledger.until(condition)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.drop()
    this.#http.closeAllConnections()
    await new Promise<void>((resolve) => this.#http.close(() => resolve()))
  }
}
