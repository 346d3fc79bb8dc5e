import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { type Deed, feedLength, maxAnswerBytes, serverText } from '../support/harness.ts'
import { answerBody, HttpGate, tokenOf } from '../support/http-gate.ts'

/** A frame of the plain JSON protocol; see docs/protocol.md. */
interface Frame {
  readonly type: string
  readonly channel?: string
  readonly ref?: number
  readonly since?: number
  readonly token?: string
  readonly timeoutMs?: number
  readonly key?: string
  readonly data?: { readonly text: string }
}

/** ws behind the gate: it refuses the handshake of an unknown token, and speaks the plain JSON protocol. */
export async function startWebSocketPeer(): Promise<HttpGate> {
  const gate = new HttpGate({ contentType: '', encode: () => '', garbage: '' })
  const sockets = new WebSocketServer({ noServer: true })
  gate.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (gate.refusesToken(tokenOf(request))) {
      socket.end('HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
      return
    }
    const answer = gate.takeAnswer({ token: tokenOf(request), text: '' })
    if (answer) {
      socket.end(refusalOf(answer.status, answer.headers))
      return
    }
    sockets.handleUpgrade(request, socket, head, (opened) => new Session(gate, opened, request))
  })
  return gate.listen((_request, response) => void response.writeHead(426).end())
}

function refusalOf(status: number, headers: Readonly<Record<string, string>> = {}): string {
  const body = answerBody(status)
  const lines = Object.entries({ ...headers, 'content-length': body.length, connection: 'close' })
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return `HTTP/1.1 ${status} Refused\r\n${head}\r\n${body}`
}

/** What a frame says of the wait that stands in a header. */
function waitOf({ headers = {} }: Deed & { do: 'answer' }): object {
  const seconds = headers['retry-after']
  return seconds === undefined ? {} : { retryAfterMs: Number(seconds) * 1000 }
}

/** One connection. */
class Session {
  readonly #gate: HttpGate
  readonly #socket: WebSocket
  readonly #request: IncomingMessage
  readonly #leave = new Map<string | number, () => void>()
  #token: string | undefined

  constructor(gate: HttpGate, socket: WebSocket, request: IncomingMessage) {
    this.#gate = gate
    this.#socket = socket
    this.#request = request
    this.#token = tokenOf(request)
    socket.on('error', () => {})
    socket.on('message', (data) => this.#receive(JSON.parse(String(data))))
    socket.on('close', () => {
      for (const leave of this.#leave.values()) leave()
    })
  }

  #receive(frame: Frame): void {
    const { type, channel = '', ref = 0, token } = frame
    if (type === 'ping') this.#send({ type: 'pong' })
    else if (type === 'auth') {
      this.#token = token
      this.#send(this.#gate.refusesToken(token) ? this.#error(frame, 'unauthenticated') : { type: 'ack', ref })
    } else if (type === 'unsubscribe') this.#leave.get(channel)?.()
    else if (type === 'cancel') this.#leave.get(ref)?.()
    else if (type === 'subscribe') this.#subscribe(frame)
    else if (type === 'message') this.#answer(frame)
  }

  #answer(frame: Frame): void {
    const { ref = 0, channel, data, timeoutMs, key } = frame
    const text = data?.text ?? ''
    const deed = this.#gate.take({ token: this.#token, text, remainingMs: timeoutMs, key })
    const leave = this.#gate.enter()
    this.#leave.set(ref, leave)
    if (deed.do === 'hang') return
    if (this.#refuses(frame, deed)) {
      leave()
      return
    }
    if (deed.do === 'reset') this.#request.socket.resetAndDestroy()
    else if (deed.do === 'garble') this.#socket.send('{"type": oh no}')
    else {
      const answer = deed.do === 'flood' ? 'x'.repeat(maxAnswerBytes) : text
      this.#send({ type: 'data', channel, ref, data: { text: answer } })
    }
    leave()
  }

  #subscribe(frame: Frame): void {
    const { channel = '', ref, since } = frame
    const cursor = since === undefined ? undefined : String(since)
    const deed = this.#gate.take({ token: this.#token, text: '', cursor })
    if (this.#refuses(frame, deed)) return
    // One that is subscribed asks for a replay: there is still one subscription.
    this.#leave.get(channel)?.()
    this.#leave.set(channel, this.#gate.enter())
    this.#send({ type: 'subscribed', channel, ref, recovered: since !== undefined })
    const last = deed.do === 'drop' ? (since ?? 0) + deed.after : feedLength
    for (let id = (since ?? 0) + 1; id <= last; id++) this.#send({ type: 'data', channel, id, data: id })
    // An RST may overtake bytes that the peer has not read yet: wait until they are its own.
    if (deed.do === 'drop') setTimeout(() => this.#request.socket.resetAndDestroy(), 5)
  }

  #refuses(frame: Frame, deed: Deed): boolean {
    if (this.#gate.refusesToken(this.#token)) this.#send(this.#error(frame, 'unauthenticated'))
    else if (deed.do === 'busy')
      this.#send(this.#error(frame, 'unavailable', { retryAfterMs: deed.retryAfterS * 1000 }))
    else if (deed.do === 'throttle') this.#send(this.#error(frame, 'resource_exhausted', { retryAfterMs: deed.waitMs }))
    else if (deed.do === 'keyInFlight') this.#send(this.#error(frame, 'aborted', { retryAfterMs: deed.waitMs }))
    else if (deed.do === 'answer') this.#send(this.#error(frame, deed.status, waitOf(deed)))
    else if (deed.do !== 'refuse') return false
    else if (deed.as.startsWith('close ')) this.#socket.close(Number(deed.as.slice(6)), serverText)
    else this.#send(this.#error(frame, deed.as))
    return true
  }

  #error({ ref, channel }: Frame, code: string | number, more: object = {}): object {
    return { type: 'error', channel, ref, data: { code, message: serverText, ...more } }
  }

  #send(frame: object): void {
    this.#socket.send(JSON.stringify(frame))
  }
}
