/**
 * `npm run newcomer`: the first ten minutes of somebody who has never seen Polywire. npm installs the tarball into an empty
 * folder outside of this repository; the README is followed to the letter; then a small program (calls, retries, errors,
 * an event stream, a channel, a fetch) runs in all that this machine has. What cannot run here is named as skipped.
 */
import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { promisify } from 'node:util'
import { chromium } from 'playwright-core'
import { programsOf } from '../test/docs/support/programs.ts'
import { type SmokeServer, startSmokeServer } from '../test/package/smoke/server.ts'
import { bundlers } from '../test/package/support/bundlers.ts'
import { pack, smokeLines } from '../test/package/support/packed.ts'
import { prepareWorkerd } from '../test/package/support/workerd.ts'
import buildIfStale from './build-if-stale.ts'
import { findChromium } from './chromium.ts'
import { compilers, root } from './compilers.ts'
import { followGrpcPage } from './newcomer/grpc.ts'
import { startNextSite } from './newcomer/next.ts'
import { jestConfigs, testFiles } from './newcomer/test-files.ts'
import { install, nodeRuntime, runtimes } from './runtime-binaries.ts'

const exec = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'newcomer-'))
const expected = smokeLines()
let failures = 0

/** A step with a server of its own. @param run - throws where it fails, or gives the reason why it cannot run here. */
async function step(name: string, run: (server: SmokeServer) => Promise<unknown>): Promise<void> {
  const server = await startSmokeServer(site)
  try {
    const skipped = await run(server)
    console.log(typeof skipped === 'string' ? `- ${name} skipped: ${skipped}` : `✓ ${name}`)
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as { stdout?: string; stderr?: string; message: string }
    console.log(`✗ ${name}\n${message}\n${stdout}${stderr}`)
    failures += 1
  } finally {
    server.close()
  }
}

/** What a command prints, line by line. */
async function lines(command: string, args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<string[]> {
  const { NODE_OPTIONS: _options, ...env } = process.env
  const options = { cwd: folder, env: { ...env, ...more }, timeout: 240_000, maxBuffer: 1 << 26 }
  const { stdout } = await exec(command, args, options)
  return stdout.trim().split('\n')
}

function same(is: readonly string[], what: readonly string[]): void {
  if (is.join('\n') !== what.join('\n')) throw new Error(`printed:\n${is.join('\n')}\ninstead of:\n${what.join('\n')}`)
}

/** The reason why npm does not install them here; nothing where it does. */
async function npmInstall(...packages: readonly string[]): Promise<string | undefined> {
  try {
    await lines('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', ...packages])
    return undefined
  } catch (error) {
    const last = String((error as { stderr?: string }).stderr)
      .trim()
      .split('\n')
      .at(-1)
    return `npm could not install ${packages.join(', ')}: ${last}`
  }
}

/** What Vite has built, on the port of the server that its page calls. */
function site(path: string): { readonly type: string; readonly text: string } | undefined {
  const file = join(folder, 'dist', path === '/' ? 'index.html' : path)
  if (!existsSync(file) || extname(file) === '') return undefined
  return { type: extname(file) === '.html' ? 'text/html' : 'text/javascript', text: readFileSync(file, 'utf8') }
}

async function readme(): Promise<void> {
  const [first] = programsOf(root, 'README.md')
  const text = readFileSync(join(root, 'README.md'), 'utf8')
  await step('README: what it says to do', async () => {
    for (const said of ['`npm install polywire`', '`first.mts`', '`node first.mts`'])
      if (!text.includes(said)) throw new Error(`the README no longer says ${said}: follow what it says now`)
  })
  for (const [name, compiler] of Object.entries(compilers))
    await step(`README: its first program compiles with ${name}`, async () => {
      writeFileSync(join(folder, 'first.mts'), first?.code ?? '')
      const strict = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023']
      await lines(process.execPath, [join(root, 'node_modules', compiler, 'bin/tsc'), ...strict, 'first.mts'])
    })
}

/** The first program of the README, at a server on this machine. */
async function firstProgram(port: number, runtime: string, args: readonly string[]): Promise<void> {
  const code = programsOf(root, 'README.md')[0]?.code ?? ''
  writeFileSync(join(folder, 'first.mts'), code.replace('https://api.github.com', `http://127.0.0.1:${port}`))
  same(await lines(runtime, [...args, 'first.mts']), ['7000'])
}

async function inRuntimes(): Promise<void> {
  for (const runtime of runtimes)
    await step(runtime.name, async ({ port }) => {
      const path = await install(runtime)
      if (path === undefined) return `${runtime.from} is not to be had for this platform`
      if (runtime.name.startsWith('workerd')) {
        await prepareWorkerd(folder, port)
        same((await lines(path, ['test', 'config.capnp'])).slice(0, expected.length), expected)
        return undefined
      }
      await firstProgram(port, path, runtime.args ?? [])
      same(await lines(path, [...(runtime.args ?? []), 'main.mjs'], { PORT: String(port) }), expected)
      return undefined
    })
}

async function bundled(): Promise<void> {
  writeFileSync(join(folder, 'start.mjs'), "import { smoke } from './program.mjs'\nsmoke(process.env.PORT)\n")
  for (const [name, bundle] of Object.entries(bundlers))
    await step(`bundled by ${name}, started where nothing is installed`, async ({ port }) => {
      const directory = mkdtempSync(join(tmpdir(), 'newcomer-bundle-'))
      try {
        await bundle(join(folder, 'start.mjs'), directory)
        const file = join(directory, name.endsWith('CommonJS') ? 'bundle.cjs' : 'bundle.mjs')
        same(await lines(process.execPath, [file], { PORT: String(port) }), expected)
      } finally {
        rmSync(directory, { recursive: true })
      }
    })
}

async function inPage(): Promise<void> {
  await step('a page that Vite has built, in Chromium', async ({ port }) => {
    const path = findChromium()
    if (path === undefined) return 'no Chromium here; CHROMIUM=/path/to/it names one'
    const missing = await npmInstall('--save-dev', 'vite')
    if (missing) return missing
    writeFileSync(join(folder, 'index.html'), '<script type="module" src="/page.js"></script>')
    const show = "then(() => 'done', String).then((end) => (document.title = end))"
    writeFileSync(join(folder, 'page.js'), `import { smoke } from './program.mjs'\nsmoke(location.port).${show}\n`)
    await lines(process.execPath, ['node_modules/vite/bin/vite.js', 'build', '--logLevel', 'error'])
    const browser = await chromium.launch({ executablePath: path, args: ['--no-sandbox'] })
    try {
      const page = await browser.newPage()
      const printed: string[] = []
      page.on('console', (message) => void (message.type() === 'log' && printed.push(message.text())))
      await page.goto(`http://127.0.0.1:${port}/`)
      await page.waitForFunction(() => (globalThis as unknown as { document: Document }).document.title !== '')
      same([...printed, await page.title()], [...expected, 'done'])
    } finally {
      await browser.close()
    }
    return undefined
  })
}

async function inTestRunners(): Promise<void> {
  for (const [file, code] of Object.entries(testFiles)) writeFileSync(join(folder, file), code)
  await step('vitest', async ({ port }) => {
    const missing = await npmInstall('--save-dev', 'vitest')
    if (missing) return missing
    await lines(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', 'vitest.test.mjs'], { PORT: String(port) })
    return undefined
  })
  const missing = await npmInstall('--save-dev', 'jest', '@swc/core', '@swc/jest')
  const oldest = runtimes.find(({ name }) => name.startsWith('Node 22.19')) ?? nodeRuntime('22.19.0')
  for (const { name, isOldest, options, config } of jestConfigs)
    await step(name, async ({ port }) => {
      if (missing) return missing
      const node = isOldest ? await install(oldest) : process.execPath
      if (!node) return `${oldest.from} is not to be had for this platform`
      const args = ['node_modules/jest/bin/jest.js', '--config', JSON.stringify(config)]
      await lines(node, [...options, ...args], { PORT: String(port) })
      return undefined
    })
}

async function inNext(): Promise<void> {
  await step('Next.js: a page of the server and a route handler', async ({ port }) => {
    const missing = await npmInstall('next', 'react', 'react-dom')
    if (missing) return missing
    // As create-next-app writes it; npm's own says that all files are CommonJS.
    await lines('npm', ['pkg', 'delete', 'type'])
    mkdirSync(join(folder, 'app/api/user'), { recursive: true })
    await startNextSite(folder, port, (args) => lines(process.execPath, args, { API_URL: `http://127.0.0.1:${port}` }))
    return undefined
  })
}

async function inGrpc(): Promise<void> {
  await step('gRPC-Web, as its page says: peers, generated code, its first two programs', () =>
    followGrpcPage({ folder, npmInstall, lines }),
  )
}

buildIfStale()
try {
  const tarball = pack(folder)
  await step('npm init -y && npm install polywire', async () => {
    await lines('npm', ['init', '-y'])
    const missing = await npmInstall(tarball)
    if (missing) throw new Error(missing)
  })
  cpSync(join(root, 'test/package/smoke'), folder, { recursive: true })
  await readme()
  await inRuntimes()
  await bundled()
  await inPage()
  await inTestRunners()
  await inNext()
  await inGrpc()
} finally {
  rmSync(folder, { recursive: true, force: true })
}
console.log(failures === 0 ? 'newcomer: nothing hurts' : `newcomer: ${failures} steps hurt`)
process.exitCode = failures === 0 ? 0 : 1
