import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** How long a process lives on after its last call, the client not closed: ms from the last reply to the exit, sorted. */
export interface ExitTimes {
  readonly name: string
  readonly ms: readonly number[]
}

const root = fileURLToPath(new URL('..', import.meta.url))
const told = `process.send('done'); process.disconnect()`

/** Ten calls at once, then nothing more to do. */
export async function exitTimes(port: number, rounds: number): Promise<ExitTimes[]> {
  const url = `http://127.0.0.1:${port}/x`
  const ten = (call: string) => `await Promise.all(Array.from({ length: 10 }, async () => ${call})); ${told}`
  const scripts = {
    'undici.request': `import { request } from 'undici'; ${ten(`(await request('${url}')).body.json()`)}`,
    polywire: `
      import { createClient } from 'polywire'
      import { get, restTransport } from 'polywire/rest'
      const client = createClient({ transports: { rest: restTransport({ baseUrl: '${url}' }) } })
      const api = client.bind({ get: get('') })
      ${ten('api.get()')}`,
    'global fetch': ten(`(await fetch('${url}')).json()`),
  }
  const times = Object.keys(scripts).map((name) => ({ name, ms: [] as number[] }))
  for (let round = 0; round < rounds; round++)
    for (const { name, ms } of times) ms.push(await lifeAfter(scripts[name as keyof typeof scripts]))
  for (const { ms } of times) ms.sort((a, b) => a - b)
  return times
}

function lifeAfter(script: string): Promise<number> {
  const flags = ['--conditions=polywire-source', '--input-type=module', '-e', script]
  const child = spawn(process.execPath, flags, { cwd: root, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  let doneAt = Number.NaN
  child.once('message', () => {
    doneAt = performance.now()
  })
  return new Promise((resolve) => child.once('exit', () => resolve(performance.now() - doneAt)))
}
