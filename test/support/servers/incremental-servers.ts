import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { useServer } from 'graphql-ws/use/ws'
import { createSchema, createYoga } from 'graphql-yoga'
import { WebSocketServer } from 'ws'

/** A promise that the test settles. */
class Gate {
  readonly opened: Promise<void>
  open: () => void = () => undefined

  constructor() {
    this.opened = new Promise((resolve) => {
      this.open = resolve
    })
  }
}

const typeDefs = /* GraphQL */ `
  directive @defer(if: Boolean! = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT
  directive @stream(if: Boolean! = true, label: String, initialCount: Int = 0) on FIELD
  type Query { order: Order! secret: String! limited: Order! }
  type Order { id: ID! total: Int items: [Item!]! slow: String! bad: String! owner: Owner }
  type Item { name: String! }
  type Owner { name: String! city: String! }
`

function coded(code: string): Error {
  return Object.assign(new Error(`refused with ${code}`), { extensions: { code } })
}

/** graphql-yoga, whose executor knows `@defer` and `@stream` where the schema declares them. */
export async function startIncrementalYoga() {
  const gates = { slow: new Gate(), owner: new Gate(), items: [new Gate(), new Gate()] }
  let tokens: (string | undefined)[] = []
  let limits = 0
  const cut = new Gate()
  const order = () => ({
    id: 'o1',
    total: 7,
    async *items() {
      yield { name: 'a' }
      for (const [n, gate] of gates.items.entries()) {
        await gate.opened
        yield { name: 'bc'[n] }
      }
    },
    slow: () => gates.slow.opened.then(() => 'slow é🎉'),
    bad: () => gates.slow.opened.then(() => Promise.reject(coded('NOT_FOUND'))),
    owner: () => gates.owner.opened.then(() => ({ name: 'Ada', city: 'Paris' })),
  })
  const schema = createSchema<{ req: IncomingMessage }>({
    typeDefs,
    resolvers: {
      Query: {
        order,
        secret: (_root, _args, { req }) => {
          tokens.push(req.headers.authorization)
          return req.headers.authorization === 'Bearer good' ? 'told' : Promise.reject(coded('UNAUTHENTICATED'))
        },
        limited: () => (limits++ === 0 ? Promise.reject(coded('THROTTLED')) : order()),
      },
    },
  })
  const yoga = createYoga<{ req: IncomingMessage }>({ schema, maskedErrors: false, logging: false, graphiql: false })
  const requests: IncomingMessage['headers'][] = []
  const server = createServer((request, response) => {
    requests.push(request.headers)
    response.on('close', () => {
      if (!response.writableFinished) cut.open()
    })
    void yoga(request, response)
  })
  // The recipe of yoga's docs: graphql-ws executes as yoga does.
  const sockets = new WebSocketServer({ server, path: '/graphql' })
  const subscriptions = useServer(
    {
      execute: (args: any) => args.rootValue.execute(args),
      subscribe: (args: any) => args.rootValue.subscribe(args),
      onSubscribe: async ({ extra }: any, _id, params) => {
        const made = yoga.getEnveloped({ req: extra.request, params } as never)
        const document = made.parse(params.query)
        const errors = made.validate(made.schema, document)
        if (errors.length > 0) return errors
        const { execute, subscribe, schema: enveloped } = made
        const contextValue = await made.contextFactory()
        const { operationName, variables: variableValues } = params
        const rootValue = { execute, subscribe }
        return { schema: enveloped, operationName, document, variableValues, contextValue, rootValue } as never
      },
    },
    sockets,
  )
  const url = await listen(server)
  return {
    url: `${url}/graphql`,
    gates,
    requests,
    /** A client has left before the end of its response. */
    cut: cut.opened,
    tokens: () => tokens.splice(0),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets.clients) socket.terminate()
      await subscriptions.dispose()
      await close(server)
      await yoga.dispose()
      tokens = []
    },
  }
}

/** A server that writes parts as it is told to. */
export async function startScripted(
  respond: (response: ServerResponse, request: IncomingMessage, nth: number) => void | Promise<void>,
) {
  let nth = 0
  const server = createServer((request, response) => {
    request.resume().on('end', () => void respond(response, request, ++nth))
  })
  const url = await listen(server)
  return { url, requests: () => nth, [Symbol.asyncDispose]: () => close(server) }
}

/** Parts as servers write them: each ends with the delimiter, or, `late`, the delimiter comes with the next one. */
export function multipart(parts: readonly unknown[], { late = false } = {}): string[] {
  const type = 'Content-Type: application/json; charset=utf-8\r\n\r\n'
  const texts = parts.map((part) => (typeof part === 'string' ? part : JSON.stringify(part)))
  if (late) return [...texts.map((text) => `\r\n---\r\n${type}${text}`), '\r\n-----\r\n']
  return ['\r\n---', ...texts.map((text, n) => `\r\n${type}${text}\r\n---${n === texts.length - 1 ? '--\r\n' : ''}`)]
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function close(server: Server): Promise<void> {
  server.closeAllConnections()
  return new Promise((resolve) => server.close(() => resolve()))
}
