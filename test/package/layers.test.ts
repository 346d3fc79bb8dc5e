import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { checkLayers } from '../../scripts/check-layers.ts'
import { limits } from '../../scripts/layers.ts'
import { root } from './support/packed.ts'

const trees: string[] = []
afterEach(() => {
  for (const tree of trees.splice(0)) rmSync(tree, { recursive: true })
})

/** What the check says about a tree of these files, as `file rule`. */
function findings(
  files: Readonly<Record<string, string>>,
  isAsked = (rule: string) => rule !== 'small-file',
): string[] {
  const tree = mkdtempSync(join(tmpdir(), 'polywire-layers-'))
  trees.push(tree)
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(tree, file)), { recursive: true })
    writeFileSync(join(tree, file), text)
  }
  return checkLayers(tree)
    .filter(({ rule }) => isAsked(rule))
    .map(({ file, rule }) => `${file} ${rule}`)
}

test('this repository keeps to its layers', () => {
  expect(checkLayers(root)).toEqual([])
})

test.each([
  ['src/core/call/call.ts', "import { retry } from '../../interceptors/retry.ts'", 'layer'],
  ['src/core/call/call.ts', "import { get } from '../../../transports/rest.ts'", 'layer'],
  ['src/core/call/call.ts', "import pRetry from 'p-retry'", 'library'],
  ['src/core/call/call.ts', "import { readFile } from 'node:fs/promises'", 'library'],
  ['src/core/call/call.ts', "import { engine } from '#platform'", 'library'],
  ['src/core/call/call.ts', "export const load = () => import('undici')", 'library'],
  ['src/core/call/call.ts', "export type Agent = import('undici').Agent", 'library'],
  ['src/core/call/call.ts', "export * from '../../client.ts'", 'layer'],
  ['src/interceptors/retry.ts', "import { auth } from './auth.ts'", 'layer'],
  ['src/interceptors/retry.ts', "import pRetry from 'p-retry'", 'library'],
  ['src/interceptors/retry.ts', "import { send } from '../../transports/http/contract.ts'", 'layer'],
  ['src/auth/index.ts', "import { retry } from '../interceptors/retry.ts'", 'layer'],
  ['src/client.ts', "import { retry } from './interceptors/retry.ts'", 'layer'],
  ['src/client.ts', "import { restTransport } from '../transports/rest.ts'", 'layer'],
  ['src/contract.ts', "import { createClient } from './client.ts'", 'layer'],
  ['src/index.ts', "export { restTransport } from '../transports/rest.ts'", 'layer'],
  ['src/stray.ts', "import { retry } from './interceptors/retry.ts'", 'layer'],
  ['src/room/stray.ts', "import { Call } from '../core/call/call.ts'", 'layer'],
  ['transports/rest.ts', "import { sseTransport } from './sse.ts'", 'layer'],
  ['transports/rest.ts', "import { retry } from '../src/interceptors/retry.ts'", 'layer'],
  ['transports/rest.ts', "import { createClient } from '../src/client.ts'", 'layer'],
  ['transports/rest.ts', "import { Agent } from 'undici'", 'library'],
  ['transports/rest.ts', "import axios from 'axios'", 'library'],
  ['transports/sse.ts', "import { createParser } from 'eventsource-parser'", 'library'],
  ['transports/websocket.ts', "import WebSocket from 'isomorphic-ws'", 'library'],
  ['transports/graphql.ts', "import { GraphQLClient } from 'graphql-request'", 'library'],
  ['transports/rest.ts', "import { create } from '@bufbuild/protobuf'", 'library'],
  ['transports/rest.ts', "import { createClient } from '@connectrpc/connect'", 'library'],
  ['transports/http/contract.ts', "import { get } from '../rest.ts'", 'layer'],
  ['transports/http/contract.ts', "import { retry } from '../../src/interceptors/retry.ts'", 'layer'],
  ['transports/http/contract.ts', "import { request } from 'undici'", 'library'],
  ['src/core/call/call.ts', 'export default class Call {}', 'default-export'],
  ['transports/rest.ts', 'const rest = 1\nexport { rest as default }', 'default-export'],
])('%s: %j is refused by %s', (file, text, rule) => {
  expect(findings({ [file]: text })).toEqual([`${file} ${rule}`])
})

test.each([
  ['file-length', '// a line\n'.repeat(351)],
  ['function-length', `export function send() {\n${'  send()\n'.repeat(49)}}`],
  ['function-length', `export class Call {\n  send = () => {\n${'    1\n'.repeat(49)}  }\n}`],
])('%s has a limit', (rule, text) => {
  expect(findings({ 'src/core/call/call.ts': text })).toEqual([`src/core/call/call.ts ${rule}`])
})

test('the largest circle of the core, types included, has a limit', () => {
  const ring = (size: number) =>
    Object.fromEntries(
      Array.from({ length: size }, (_, n) => [`src/core/f${n}.ts`, `import type { F } from './f${(n + 1) % size}.ts'`]),
    )
  expect(findings(ring(limits.coreCircle))).toEqual([])
  expect(findings(ring(limits.coreCircle + 1))).toEqual(['src/core/f0.ts circle'])
})

test('a short file with one importer is refused, a lazily loaded one, too; a long and a shared one are not', () => {
  const short = '// a line\n'.repeat(limits.smallLines - 1)
  const found = (files: Record<string, string>) => findings(files, (rule) => rule === 'small-file')
  const one = { 'src/core/a.ts': short, 'src/core/b.ts': "import { a } from './a.ts'" }
  expect(found(one)).toEqual(['src/core/a.ts small-file'])
  expect(found({ ...one, 'src/core/a.ts': `${short}// another\n` })).toEqual([])
  expect(found({ ...one, 'src/core/c.ts': "import type { A } from './a.ts'" })).toEqual([])
  expect(found({ ...one, 'src/core/b.ts': "export const load = () => import('./a.ts')" })).toEqual([
    'src/core/a.ts small-file',
  ])
})

test('modules that load each other are refused; types may refer to each other', () => {
  const a = (text: string) => ({
    'src/core/a.ts': text,
    'src/core/b.ts': "import { c } from './c.ts'",
    'src/core/c.ts': "export { a } from './a.ts'",
  })
  expect(findings(a("import { b } from './b.ts'"))).toEqual(['src/core/a.ts cycle'])
  expect(findings(a("import type { b } from './b.ts'"))).toEqual([])
})

test('what the table allows passes', () => {
  expect(
    findings({
      'src/core/call/call.ts': "import { Scope } from './scope.ts'",
      'src/interceptors/defaults.ts': "import { retry } from './retry.ts'",
      'src/interceptors/retry.ts':
        "import { loop } from './retry-loop.ts'\nimport { Call } from '../core/call/call.ts'",
      'src/interceptors/retry-loop.ts': "import { Call } from '../core/call/call.ts'",
      'src/index.ts': "export { createClient } from './client.ts'\nexport { retry } from './interceptors/retry.ts'",
      'transports/rest.ts':
        "import { send } from './http/contract.ts'\nimport { Call } from '../src/core/call/call.ts'",
      'transports/platform/node.ts': "import pRetry from 'p-retry'\nimport { hostname } from 'node:os'",
      'transports/grpc/gen/api.gen.ts': '// a line\n'.repeat(900),
    }),
  ).toEqual([])
})
