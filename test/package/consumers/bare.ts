// The barest consumer: no DOM, no @types/node, no `lib: esnext.disposable`, `skipLibCheck` off.
import { type CallError, createClient, isCallError, type, type Unary } from 'polywire'
import { awsSigV4, bearerAuth, digestAuth, messageSignatures, sessionAuth, signedAuth } from 'polywire/auth'
import { EventSource } from 'polywire/event-source'
import { createFetch } from 'polywire/fetch'
import { authorizationServer, clientCredentials, clientSecretBasic, dpop, oauthAuth } from 'polywire/oauth'
import { get, jsonLines, post, restTransport } from 'polywire/rest'
import { durableStream, events, sseTransport } from 'polywire/sse'
import * as testing from 'polywire/testing'
import { channel, websocketTransport } from 'polywire/websocket'

interface User {
  id: number
  name: string
}

const client = createClient({
  transports: {
    rest: restTransport({ baseUrl: 'https://api.example.com/v1' }),
    sse: sseTransport({ baseUrl: 'https://api.example.com/v1' }),
    websocket: websocketTransport({ url: 'wss://rt.example.com/ws' }),
  },
  auth: bearerAuth(() => 'token'),
  retry: { maxAttempts: 4 },
  timeoutMs: 10_000,
})

const api = client.bind({
  users: {
    get: get('/users/{id}', { output: type<User>() }),
    create: post('/users', { body: type<{ name: string }>(), output: type<User>() }),
  },
  watch: events('/orders/{id}/events', { placed: type<User>() }),
  chat: channel('chat:{room}', { send: type<{ text: string }>(), receive: type<{ text: string }>() }),
})

export async function use(): Promise<string> {
  const user: User = await api.users.get({ id: 42 })
  const { message, attempts } = await api.users.create.reply({ name: user.name })
  for await (const event of api.watch({ id: 7 })) {
    const placed: 'placed' = event.type
    return `${placed} ${event.data.name} ${attempts} ${message.id}`
  }
  const room = api.chat({ room: 'lobby' })
  await room.send({ text: 'hi' })
  await room[Symbol.asyncDispose]()
  return Object.keys(testing).join()
}

export const codeOf = (error: unknown): CallError['code'] | undefined => (isCallError(error) ? error.code : undefined)

// @ts-expect-error: the path has an {id}
export const wrong = api.users.get({ name: 'Ada' })

// What publishers write under isolatedDeclarations.
export const find: Unary<{ id: number }, User> = api.users.get

// Without a platform's fetch the face is a function all the same.
const face = createFetch({ origin: 'https://api.example.com', auth: bearerAuth('t') })
export const answered: Promise<unknown> = face('https://api.example.com/a').then((response) => response)
export const quick = face.with({ timeoutMs: 5 })

// Without a platform's events they are as much as is needed.
export const source = new EventSource('https://api.example.com/events')
source.addEventListener('placed', ({ data }) => data)
source.onerror = ({ error }) => codeOf(error)
export const rows = jsonLines('/rows', type<User>())
export const changes = durableStream('/streams/{id}', type<User>())

export const auths = [
  digestAuth({ username: 'me', password: 'secret' }),
  sessionAuth({ csrf: { cookie: 'csrf' } }),
  signedAuth({ sign: async (request) => ({ 'x-length': String((await request.body()).byteLength) }) }),
  messageSignatures({ key: new Uint8Array(32), keyId: 'k' }),
  awsSigV4({ credentials: { accessKeyId: 'a', secretAccessKey: 'b' }, region: 'r', service: 's3' }),
  oauthAuth(
    clientCredentials(
      authorizationServer({
        issuer: 'https://login.example.com',
        clientId: 'app',
        clientAuth: clientSecretBasic('secret'),
        dpop: dpop(),
      }),
    ),
  ),
]
