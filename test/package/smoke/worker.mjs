// A client at module level, as workers have it: several requests share it, and what one of them opened ends with it.
import { createClient, isCallError, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { get, restTransport } from 'polywire/rest'
import { channel, websocketTransport } from 'polywire/websocket'
import { smoke } from './program.mjs'

const host = `127.0.0.1:${PORT}`
const client = createClient({
  transports: {
    rest: restTransport({ baseUrl: `http://${host}` }),
    websocket: websocketTransport({ url: `ws://${host}` }),
  },
  timeoutMs: 700,
  auth: bearerAuth(() => 'token'),
})
const api = client.bind({
  user: get('/users/{id}', { output: type() }),
  silent: get('/silent', { output: type() }),
  chat: channel('chat:{room}', { send: type(), receive: type() }),
})

const answers = {
  '/call': async () => (await api.user({ id: 42 })).name,
  '/deadline': () => api.silent().then(String, (error) => isCallError(error) && error.code),
  '/channel': async () => {
    const room = api.chat({ room: 'lobby' })
    await room.send({ text: 'hi' })
    for await (const said of room) return said.text
  },
}

export default {
  async fetch(request) {
    const answer = await answers[new URL(request.url).pathname]().catch(String)
    return new Response(answer)
  },
  async test(_controller, env) {
    await smoke(PORT)
    const ask = async (path) => (await env.self.fetch(`http://self${path}`)).text()
    // Twice each: the second request comes when the first one, and its timers and sockets, are gone.
    for (const [path, expected] of [
      ['/call', 'Ada'],
      ['/deadline', 'deadline_exceeded'],
      ['/channel', 'hi'],
    ]) {
      for (const turn of ['first', 'second']) {
        const answer = await ask(path)
        if (answer !== expected) throw new Error(`${path} in the ${turn} request: ${answer}`)
        console.log(`ok ${path} in the ${turn} request`)
      }
    }
  },
}
