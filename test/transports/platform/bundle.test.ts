import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { FaultServer } from '../../support/servers/fault-server.ts'

const file = (path: string) => fileURLToPath(new URL(`../../../transports/${path}`, import.meta.url))

it('a bundle for the web holds no undici and asks for nothing of Node', async () => {
  const { metafile, outputFiles } = await build({
    entryPoints: [file('http/choose.ts')],
    alias: { '#platform': file('platform/browser.ts') },
    bundle: true,
    write: false,
    metafile: true,
    platform: 'browser',
    format: 'esm',
    minify: true,
  })
  expect(Object.keys(metafile.inputs).filter((path) => /undici|node_modules|node:/.test(path))).toEqual([])
  expect(outputFiles[0]?.text).not.toMatch(/\brequire\(|getBuiltinModule|from"node:/)
})

it('a bundle of GraphQL for the web asks for no graphql-request: without the package it could not be resolved', async () => {
  const { metafile } = await build({
    entryPoints: [file('graphql.ts')],
    alias: { '#platform': file('platform/browser.ts'), '#graphql-reader': file('graphql/by-hand.ts') },
    conditions: ['polywire-source'],
    bundle: true,
    write: false,
    metafile: true,
    platform: 'browser',
    format: 'esm',
  })
  // What is resolved, whether or not it is kept.
  expect(Object.keys(metafile.inputs).filter((path) => path.includes('graphql-request'))).toEqual([])
})

/** A whole program in one file, in a folder that has no node_modules. */
it.each([
  ['esm', 'node'],
  ['cjs', 'polywire'],
] as const)(
  'a bundle for Node runs as %s, with every transport, on whichever engine it can load',
  async (format, agent) => {
    await using server = await FaultServer.start()
    const sockets = new WebSocketServer({ port: 0 })
    sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(data)))
    const { port } = sockets.address() as { port: number }
    const folder = await mkdtemp(join(tmpdir(), 'polywire-bundle-'))
    const path = join(folder, format === 'esm' ? 'main.mjs' : 'main.cjs')
    const program = `
    import { createClient } from 'polywire'
    import { get, restTransport } from 'polywire/rest'
    import { websocketTransport } from 'polywire/websocket'
    import { loadSocketDriver } from '#platform'
    const rest = restTransport({ baseUrl: process.env.REST })
    const client = createClient({ transports: { rest } })
    const undici = createClient({ transports: { rest: restTransport({ baseUrl: process.env.REST, http: 'undici' }) } })
    async function main() {
      const { headers } = await client.call(get('/echo'))
      const explicit = await undici.call(get('/json')).then(() => 'ok', (error) => error.message)
      const driver = await loadSocketDriver()
      console.log(JSON.stringify({ agent: headers['user-agent'], explicit, driver: driver.name }))
      await client.close()
    }
    main()
  `
    try {
      await build({
        stdin: { contents: program, resolveDir: file('.') },
        conditions: ['polywire-source'],
        bundle: true,
        platform: 'node',
        format,
        outfile: path,
        logLevel: 'error',
      })
      await writeFile(join(folder, 'package.json'), '{}')
      const { stdout } = await promisify(execFile)(process.execPath, [path], {
        env: { ...process.env, REST: server.url, WS: `ws://127.0.0.1:${port}` },
      })
      const said = JSON.parse(stdout)
      expect(said.agent).toBe(agent)
      if (format === 'esm') expect(said.explicit).toContain('undici cannot be loaded')
      else expect(said).toMatchObject({ explicit: 'ok', driver: 'ws' })
    } finally {
      sockets.close()
      await rm(folder, { recursive: true })
    }
  },
)
