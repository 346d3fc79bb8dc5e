import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { programsOf } from '../../test/docs/support/programs.ts'
import { root } from '../compilers.ts'

const page = 'docs/transports/grpc-web.md'
/** What the page says to install; the server is one of Connect's. */
const packages = ['@connectrpc/connect', '@connectrpc/connect-web', '@bufbuild/protobuf']
const generators = ['@bufbuild/buf', '@bufbuild/protoc-gen-es']

const server = `import { createServer } from 'node:http'
import { createServer as createHttp2 } from 'node:http2'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import { ShopService } from './gen/shop_pb.ts'

const handler = connectNodeAdapter({
  routes: (router) =>
    router.service(ShopService, {
      getItem: ({ id }) => ({ id, name: 'tea' }),
      async *watchItems({ after, count }) {
        for (let n = 1; n <= count; n++) yield { sequence: after + BigInt(n) }
      },
      async *chat(messages) {
        for await (const { text } of messages) yield { text: text.toUpperCase() }
      },
    }),
})
const web = createServer(handler).listen(0, '127.0.0.1')
const grpc = createHttp2(handler).listen(0, '127.0.0.1', () => console.log(web.address().port, grpc.address().port))
`

/** The steps of somebody who comes for gRPC-Web: what the page says, in order. */
export interface GrpcSteps {
  readonly folder: string
  /** The reason why npm does not install them here; nothing where it does. */
  npmInstall(...packages: readonly string[]): Promise<string | undefined>
  /** What a program prints, line by line. */
  lines(command: string, args: readonly string[]): Promise<string[]>
}

/** Follows the page on gRPC-Web to the letter. @returns why it cannot run here. @throws where it does not hold. */
export async function followGrpcPage({ folder, npmInstall, lines }: GrpcSteps): Promise<string | undefined> {
  const text = readFileSync(join(root, page), 'utf8')
  const installs = [`npm install ${packages.join(' ')}`, `npm install --save-dev ${generators.join(' ')}`]
  for (const said of [...installs, '`"type": "module"`'])
    if (!text.includes(said)) throw new Error(`${page} no longer says ${said}: follow what it says now`)
  const missing =
    (await npmInstall(...packages, '@connectrpc/connect-node')) ?? (await npmInstall('--save-dev', ...generators))
  if (missing) return missing
  await lines('npm', ['pkg', 'set', 'type=module'])
  writeFileSync(join(folder, 'buf.gen.yaml'), /```yaml\n([\s\S]*?)```/.exec(text)?.[1] ?? '')
  mkdirSync(join(folder, 'proto'), { recursive: true })
  cpSync(join(root, 'test/support/proto/polywire/test/v1/shop.proto'), join(folder, 'proto/shop.proto'))
  await lines('npx', ['buf', 'generate'])
  writeFileSync(join(folder, 'grpc-server.mts'), server)
  const programs = programsOf(root, page).map(({ code }) => code)
  const running = spawn(process.execPath, ['grpc-server.mts'], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    const ports = await new Promise<string[]>((ready, fail) => {
      running.stdout.once('data', (said) => ready(String(said).trim().split(' ')))
      running.once('exit', (code) => fail(new Error(`the server ended with ${code}`)))
    })
    for (const [at, expected] of ['tea,1n,2n', 'HI'].entries()) {
      const file = `grpc-${at}.mts`
      writeFileSync(
        join(folder, file),
        (programs[at] ?? '').replace('https://rpc.example.com', `http://127.0.0.1:${ports[at]}`),
      )
      const strict = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023']
      for (const compiler of ['typescript', 'typescript7']) {
        const tsc = join(root, 'node_modules', compiler, 'bin/tsc')
        await lines(process.execPath, [tsc, ...strict, '--allowImportingTsExtensions', '--skipLibCheck', file])
      }
      const printed = await lines(process.execPath, [file])
      if (printed.join() !== expected) throw new Error(`${file} printed:\n${printed.join('\n')}`)
    }
  } finally {
    running.kill()
  }
  return undefined
}
