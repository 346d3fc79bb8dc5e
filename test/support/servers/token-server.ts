import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * An API and its token endpoint on 127.0.0.1. Tokens are `t0`, `t1` …; only the newest is good. Each refresh takes the
 * refresh token of the newest (`r0`, `r1` …) and rotates it: one that comes a second time ends the login, as a server
 * that watches for stolen tokens does.
 */
export class TokenServer implements AsyncDisposable {
  /** Of each refresh that came: what it brought. */
  readonly refreshes: string[] = []
  calls = 0
  /** A refresh token came twice. */
  isRevoked = false
  /** It takes a refresh token a second time, as some servers do for a while. */
  isGraceful = false
  /** How long a refresh takes; ms. */
  delayMs = 20
  /** No refresh is answered before this is settled. */
  until: Promise<unknown> = Promise.resolve()
  /** What the token endpoint answers instead. */
  failWith: number | undefined
  /** Called when one has come, before it is answered. */
  onRefresh: (() => void) | undefined
  onCall: (() => unknown) | undefined
  readonly #used = new Set<string>()
  #newest = 1
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(): Promise<TokenServer> {
    const server = createServer((request, response) => {
      let body = ''
      request.on('data', (chunk) => {
        body += chunk
      })
      request.on('end', () => {
        const answer = (status: number, value: unknown): void => {
          const headers = { 'content-type': 'application/json', 'access-control-allow-origin': '*' }
          response.writeHead(status, headers).end(JSON.stringify(value))
        }
        if (request.method === 'OPTIONS') {
          const allowed = { 'access-control-allow-origin': '*', 'access-control-allow-headers': 'authorization' }
          response.writeHead(204, { ...allowed, 'access-control-max-age': '600' }).end()
        } else if (request.url === '/token') made.#refresh(String(JSON.parse(body).refresh), answer)
        else made.#call(request.headers.authorization, answer)
      })
    })
    const made = new TokenServer(server)
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    return made
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** The newest token is not good any more. */
  expire(): void {
    this.#newest++
  }

  #call(authorization: string | undefined, answer: (status: number, value: unknown) => void): void {
    this.calls++
    this.onCall?.()
    if (authorization === `Bearer t${this.#newest}` && !this.isRevoked) answer(200, { ok: true })
    else answer(401, { error: 'invalid_token' })
  }

  #refresh(refresh: string, answer: (status: number, value: unknown) => void): void {
    this.refreshes.push(refresh)
    this.onRefresh?.()
    if (this.#used.has(refresh) && !this.isGraceful) this.isRevoked = true
    const granted = { token: `t${this.#newest}`, refresh: `r${this.#newest}` }
    void this.until.then(() => {
      if (this.failWith !== undefined) answer(this.failWith, { error: 'temporarily_unavailable' })
      else if (this.isRevoked) answer(400, { error: 'invalid_grant' })
      else {
        this.#used.add(refresh)
        setTimeout(() => answer(200, granted), this.delayMs)
      }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((done) => this.#server.close(done))
  }
}
