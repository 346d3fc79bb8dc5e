import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import { getRequestListener } from '@hono/node-server'
import fastify from 'fastify'
import { Hono } from 'hono'
import {
  connectIncoming,
  expressIncoming,
  fastifyIncoming,
  honoIncoming,
  nodeIncoming,
  withIncoming,
} from 'polywire/node'
import { ShopService } from '../proto/gen/polywire/test/v1/shop_pb.ts'

/** What a server does with a request, once its body has been read; what it gives is the answer. */
export type Work = (body: string) => Promise<unknown>

/** A server that reads the body of a POST, works, and answers with JSON. */
export interface FrameworkServer {
  readonly origin: string
  /** Where it listens. */
  readonly path: string
  close(): Promise<void>
}

async function listening(made: Pick<Server, 'address' | 'close'>, path = '/work'): Promise<FrameworkServer> {
  const server = made as Server
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    path,
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections?.()
        server.close(() => resolve())
      }),
  }
}

/** Under vitest's conditions a `require` inside of Express gets an ES module where it expects a function. */
function loadExpress(): typeof import('express') {
  const require = createRequire(createRequire(import.meta.url).resolve('express'))
  const name = 'is-promise'
  const isPromise = require(name)
  const loaded = require.cache[require.resolve(name)]
  if (loaded && typeof isPromise !== 'function') loaded.exports = isPromise.default
  return require('express')
}

const answer = async (work: Work, body: string, reply: (status: number, text: string) => void): Promise<void> =>
  work(body).then(
    (value) => reply(200, JSON.stringify(value ?? null)),
    (error: unknown) => reply(500, JSON.stringify({ error: { message: String(error) } })),
  )

/** Reads by events: what goes on there is what a framework's body parser leaves behind. */
const listener =
  (work: Work): RequestListener =>
  (request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => {
      body += chunk
    })
    request.on('end', () => void answer(work, body, (status, text) => response.writeHead(status).end(text)))
  }

/** One server of each framework that has an adapter, by name. */
export const frameworkServers: Readonly<Record<string, (work: Work) => Promise<FrameworkServer>>> = {
  'node:http': (work) => listening(createServer(nodeIncoming(listener(work)))),
  express: async (work) => {
    const express = loadExpress()
    const app = express()
    app.use(expressIncoming())
    app.use(express.json())
    app.post('/work', (request, response) =>
      answer(work, JSON.stringify(request.body), (status, text) => response.status(status).end(text)),
    )
    return listening(createServer(app))
  },
  fastify: async (work) => {
    const app = fastify()
    await app.register(fastifyIncoming())
    await app.register(async (inner) => {
      inner.post('/work', async (request, reply) => {
        await answer(work, JSON.stringify(request.body), (status, text) => void reply.code(status).send(text))
        return reply
      })
    })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    const close = async () => {
      app.server.closeAllConnections()
      await app.close()
    }
    return { origin: `http://127.0.0.1:${port}`, path: '/work', close }
  },
  hono: (work) => {
    const app = new Hono()
    app.use(honoIncoming())
    app.post('/work', async (context) => {
      const body = await context.req.text()
      return await work(body).then(
        (value) => context.json(value as never),
        (error: unknown) => context.json({ error: { message: String(error) } }, 500),
      )
    })
    return listening(createServer(getRequestListener(app.fetch)))
  },
  'a handler of Requests': (work) =>
    listening(
      createServer(
        getRequestListener((request) =>
          withIncoming(request, async () =>
            work(await request.text()).then(
              (value) => Response.json(value ?? null),
              (error: unknown) => Response.json({ error: { message: String(error) } }, { status: 500 }),
            ),
          ),
        ),
      ),
    ),
  'connect, unary': (work) =>
    listening(
      createServer(
        connectNodeAdapter({
          interceptors: [connectIncoming()],
          routes: (router) =>
            router.service(ShopService, {
              addItem: async ({ name }) => ({ name: JSON.stringify(await work(name)) }),
            }),
        }),
      ),
      '/polywire.test.v1.ShopService/AddItem',
    ),
}

/** The server of `node:http2`, whose responses are another class. */
export const http2Server = (work: Work): Promise<FrameworkServer> =>
  listening(createHttp2Server(nodeIncoming(listener(work) as never)) as never)
