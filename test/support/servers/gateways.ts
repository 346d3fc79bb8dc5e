import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../free-port.ts'

/** What a gateway does with every request. */
export type Conduct =
  /** Hands it on; `isPatient: false`: gives the server 300 ms for its answer. `isOneShot`: one request a connection. */
  | { readonly do: 'proxy'; readonly url: string; readonly isPatient?: boolean; readonly isOneShot?: boolean }
  /** The same, and compresses what comes back. */
  | { readonly do: 'compress'; readonly url: string }
  /** Hands on one request in a while, and refuses the others with 429, its own page and no `Retry-After`. */
  | { readonly do: 'limit'; readonly url: string }
  /** Answers by itself, with a page of HTML. */
  | { readonly do: 'answer'; readonly status: number }
  /** Sends it elsewhere, method and body kept. */
  | { readonly do: 'redirect'; readonly to: string }

/** How one kind of gateway is told what to do, and started. */
interface Kind {
  readonly binaries: readonly string[]
  readonly package: string
  readonly file: string
  args(folder: string): readonly string[]
  config(port: number, conduct: Conduct, folder: string): string
}

/** Stands in every page of a gateway: no error message may show it. */
export const pageMark = 'PAGE-4242'
const page = `<html><body><h1>${pageMark}</h1></body></html>`
/** A request whose head is larger is refused. */
const headLimit = 16_384

const host = (url: string): string => new URL(url).host

const kinds = {
  nginx: {
    binaries: ['nginx', '/usr/sbin/nginx'],
    package: 'nginx-light',
    file: 'nginx.conf',
    args: (folder) => ['-p', folder, '-c', 'nginx.conf', '-g', 'daemon off;'],
    config: (port, conduct, folder) => `
      worker_processes 1; pid ${folder}/pid; error_log stderr;
      events { worker_connections 256; }
      http {
        access_log off; default_type text/html;
        client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f;
        uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
        map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
        ${'isOneShot' in conduct && conduct.isOneShot ? 'keepalive_timeout 0;' : ''}
        limit_req_zone $binary_remote_addr zone=all:64k rate=1r/m; limit_req_status 429;
        server {
          listen 127.0.0.1:${port};
          large_client_header_buffers 2 ${headLimit};
          location / { ${nginxConduct(conduct)} }
        }
      }`,
  },
  haproxy: {
    binaries: ['haproxy', '/usr/sbin/haproxy'],
    package: 'haproxy',
    file: 'haproxy.cfg',
    args: (folder) => ['-f', join(folder, 'haproxy.cfg'), '-db'],
    config: (port, conduct) => `
defaults
  mode http
  retries 0
  timeout connect 1s
  timeout client 60s
  timeout tunnel 60s
  timeout server ${'isPatient' in conduct && conduct.isPatient === false ? '300ms' : '60s'}
  ${'isOneShot' in conduct && conduct.isOneShot ? 'option httpclose' : ''}
frontend all
  bind 127.0.0.1:${port}
${haproxyConduct(conduct)}
`,
  },
  caddy: {
    binaries: ['caddy', '/usr/bin/caddy'],
    package: 'caddy',
    file: 'Caddyfile',
    args: (folder) => ['run', '--config', join(folder, 'Caddyfile'), '--adapter', 'caddyfile'],
    config: (port, conduct) => `
{
  admin off
  auto_https off
  servers {
    max_header_size ${headLimit}
  }
}
http://127.0.0.1:${port} {
  bind 127.0.0.1
${caddyConduct(conduct)}
}
`,
  },
} satisfies Readonly<Record<string, Kind>>

function nginxConduct(conduct: Conduct): string {
  switch (conduct.do) {
    case 'answer':
      return `add_header Content-Type text/html; return ${conduct.status} '${page}';`
    case 'redirect':
      return `return 307 ${conduct.to}$request_uri;`
    default:
      return [
        `proxy_pass ${conduct.url}; proxy_http_version 1.1;`,
        'proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade;',
        'proxy_set_header Connection $connection_upgrade; proxy_buffering off;',
        conduct.do === 'proxy' && conduct.isPatient === false ? 'proxy_read_timeout 300ms;' : '',
        conduct.do === 'limit' ? 'limit_req zone=all;' : '',
        conduct.do === 'compress' ? 'gzip on; gzip_types *; gzip_min_length 1;' : '',
      ].join(' ')
  }
}

function haproxyConduct(conduct: Conduct): string {
  switch (conduct.do) {
    case 'answer':
      return `  http-request return status ${conduct.status} content-type text/html string "${page}"`
    case 'redirect':
      return `  http-request redirect code 307 location ${conduct.to}%[capture.req.uri]`
    default:
      return [
        ...(conduct.do === 'limit'
          ? [
              '  stick-table type string size 10 expire 60s store http_req_rate(60s)',
              '  http-request track-sc0 dst',
              '  http-request deny deny_status 429 if { sc_http_req_rate(0) gt 1 }',
            ]
          : []),
        '  default_backend it',
        'backend it',
        conduct.do === 'compress' ? '  compression algo gzip' : '',
        `  server it ${host(conduct.url)}`,
      ].join('\n')
  }
}

function caddyConduct(conduct: Conduct): string {
  switch (conduct.do) {
    case 'answer':
      return `  header Content-Type text/html\n  respond "${page}" ${conduct.status}`
    case 'redirect':
      return `  redir ${conduct.to}{uri} 307`
    default:
      return [
        conduct.do === 'proxy' && conduct.isOneShot ? '  header Connection close' : '',
        conduct.do === 'compress'
          ? '  encode gzip {\n    minimum_length 1\n    match {\n      header Content-Type *\n    }\n  }'
          : '',
        `  reverse_proxy ${host(conduct.url)} {`,
        '    flush_interval -1',
        conduct.do === 'proxy' && conduct.isPatient === false
          ? '    transport http {\n      response_header_timeout 300ms\n    }'
          : '',
        '  }',
      ].join('\n')
  }
}

export type GatewayName = keyof typeof kinds

/** The gateways, each with the reason why it is skipped where it is not there. */
export const gateways = (Object.keys(kinds) as GatewayName[]).map((name) => {
  const { binaries, package: from } = kinds[name]
  const binary = binaries.find((path) => spawnSync(path, ['-v']).error === undefined)
  return { name, binary, title: binary ? name : `${name} (skipped: there is no ${name}: apt-get install ${from})` }
})

/** A real gateway on a free port of 127.0.0.1, in a folder of its own, closed by `await using`. */
export class Gateway implements AsyncDisposable {
  readonly #kind: Kind
  readonly #binary: string
  readonly #folder = mkdtempSync(join(tmpdir(), 'polywire-gateway-'))
  #port = 0
  #process: ChildProcess | undefined
  #log = ''

  private constructor(name: GatewayName) {
    this.#kind = kinds[name]
    this.#binary = gateways.find((each) => each.name === name)?.binary as string
  }

  static async start(name: GatewayName, conduct: Conduct): Promise<Gateway> {
    const gateway = new Gateway(name)
    for (let attempt = 1; ; attempt++) {
      gateway.#port = await freePort()
      const { file, config } = gateway.#kind
      writeFileSync(join(gateway.#folder, file), config(gateway.#port, conduct, gateway.#folder))
      try {
        await gateway.restart()
        return gateway
      } catch (error) {
        if (attempt < 5 && /bind|in use/i.test(String(error))) continue
        await gateway[Symbol.asyncDispose]()
        throw error
      }
    }
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Starts it, after `stop` on the same port; resolves when it listens. */
  async restart(): Promise<void> {
    const child = spawn(this.#binary, this.#kind.args(this.#folder), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, HOME: this.#folder, XDG_DATA_HOME: this.#folder, XDG_CONFIG_HOME: this.#folder },
    })
    this.#process = child
    const killed = () => void child.kill('SIGKILL')
    process.once('exit', killed)
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (this.#log += text))
    child.once('close', () => {
      process.off('exit', killed)
      if (this.#process === child) this.#process = undefined
    })
    while (this.#process === child && !(await isListening(this.#port)));
    if (this.#process !== child) throw new Error(`it did not start: ${this.#log}`)
  }

  /** Whatever is open is cut. */
  async stop(): Promise<void> {
    const child = this.#process
    if (!child) return
    const gone = new Promise((resolve) => child.once('close', resolve))
    // The workers of nginx end with their master only where that may say so.
    child.kill(this.#kind === kinds.nginx ? 'SIGTERM' : 'SIGKILL')
    await gone
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const done = (isThere: boolean) => {
      socket.destroy()
      setTimeout(resolve, isThere ? 0 : 20, isThere)
    }
    socket.once('connect', () => done(true)).once('error', () => done(false))
  })
}
