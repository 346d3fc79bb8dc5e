import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundlers } from './support/bundlers.ts'
import { type Project, projectWith } from './support/packed.ts'

let project: Project
beforeAll(() => {
  project = projectWith(['msw'])
}, 60_000)
afterAll(() => project[Symbol.dispose]())

const program = `
  import { setupServer } from 'msw/node'
  import { CallError, createClient } from 'polywire'
  import { mock } from 'polywire/msw'
  import { get, restTransport } from 'polywire/rest'
  const user = get('/users/{id}')
  const server = setupServer(mock(user, ({ input }) => {
    if (input.id === '404') throw new CallError({ code: 'not_found', message: 'none', violations: [{ field: 'id', message: 'odd' }] })
    return { id: input.id }
  }))
  server.listen({ onUnhandledFrame: 'error' })
  const client = createClient({ transports: { rest: restTransport({ baseUrl: 'https://api.test' }) } })
  const { code, serverMessage, violations } = await client.call(user, { id: 404 }).catch((error) => error)
  console.log(JSON.stringify([await client.call(user, { id: 42 }), code, serverMessage, violations]))
  await client.close()
  server.close()`

test('mocks of REST need msw alone: neither graphql nor connect is there', () => {
  const args = ['--input-type=module', '--eval', program]
  const env = { ...process.env, NODE_OPTIONS: '' }
  const said = execFileSync(process.execPath, args, { cwd: project.directory, encoding: 'utf8', env })
  expect(JSON.parse(said)).toEqual([{ id: '42' }, 'not_found', 'none', [{ field: 'id', message: 'odd' }]])
})

test('a bundle that mocks REST needs them no more than that', async () => {
  const file = join(project.directory, 'bundled.mjs')
  writeFileSync(
    file,
    `import { mock } from 'polywire/msw'
    import { get } from 'polywire/rest'
    const handler = mock(get('/users/{id}'), ({ input }) => ({ id: input.id }))
    const asked = { request: new Request('https://api.test/users/7'), requestId: '1' }
    handler.run(asked).then(({ response }) => response.text()).then(console.log)`,
  )
  await bundlers['esbuild to CommonJS']?.(file, project.directory)
  const said = execFileSync(process.execPath, [join(project.directory, 'bundle.cjs')], { encoding: 'utf8' })
  expect(JSON.parse(said)).toEqual({ id: '7' })
})
