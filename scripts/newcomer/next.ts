import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../test/support/free-port.ts'

const client = `import { createClient, type } from 'polywire'
import { get, restTransport } from 'polywire/rest'
const client = createClient({ transports: { rest: restTransport({ baseUrl: process.env.API_URL }) } })
export const api = client.bind({ user: get('/users/{id}', { output: type() }) })
`
const files = {
  'app/api.js': client,
  'app/layout.js': 'export default ({ children }) => <html lang="en"><body>{children}</body></html>\n',
  'app/page.js': `import { api } from './api.js'
export const dynamic = 'force-dynamic'
export default async function Page() {
  return <h1>{(await api.user({ id: 42 })).name}</h1>
}
`,
  'app/api/user/route.js': `import { api } from '../../api.js'
export const dynamic = 'force-dynamic'
export const GET = async () => Response.json(await api.user({ id: 42 }))
`,
}

/** Builds a site of one page and one route handler, starts it, asks both. @throws where an answer is not Ada. */
export async function startNextSite(
  folder: string,
  apiPort: number,
  run: (args: readonly string[]) => Promise<unknown>,
): Promise<void> {
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text)
  const next = 'node_modules/next/dist/bin/next'
  await run([next, 'build'])
  const port = await freePort()
  const env = { ...process.env, API_URL: `http://127.0.0.1:${apiPort}`, NEXT_TELEMETRY_DISABLED: '1' }
  const site = spawn(process.execPath, [next, 'start', '-p', String(port)], { cwd: folder, env, stdio: 'pipe' })
  try {
    await new Promise<void>((ready, fail) => {
      site.stdout.on('data', (text) => /Ready|started/i.test(String(text)) && ready())
      site.on('exit', (code) => fail(new Error(`next start ended with ${code}`)))
    })
    for (const path of ['/', '/api/user']) {
      const text = await (await fetch(`http://127.0.0.1:${port}${path}`)).text()
      if (!text.includes('Ada')) throw new Error(`${path} answered ${text.slice(0, 500)}`)
    }
  } finally {
    site.kill()
  }
}
