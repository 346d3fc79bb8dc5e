/**
 * What a contract costs the type checker: 1,000 mixed operations with a call each, and GitHub's whole description, both
 * exported and with their declarations emitted (no TS7056). Fails above the budget of instantiations, which is of what they
 * cost beyond the same file without them; prints the times, which are a machine's own.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import buildIfStale from './build-if-stale.ts'
import { type Compiled, compile, compilers, root } from './compilers.ts'

const folder = '.cache/instantiations'

const head = `
import { createClient, type } from 'polywire'
import { get, post, restTransport } from 'polywire/rest'
import { mutation, query, graphqlTransport } from 'polywire/graphql'
import { rpc, grpcWebTransport } from 'polywire/grpc-web'
import { events, sseTransport } from 'polywire/sse'
import { channel, websocketTransport } from 'polywire/websocket'
import type { TypedDocumentNode } from '@graphql-typed-document-node/core'
import type { GenMessage, GenService } from '@bufbuild/protobuf/codegenv2'
import type { Message } from '@bufbuild/protobuf'

export interface Item { id: number; name: string; tags: string[]; owner: { id: number; email: string } }
export interface NewItem { name: string; tags?: string[] }
export type Ask = Message<'bench.Ask'> & { id: string }
export type Answer = Message<'bench.Answer'> & { name: string }
declare const Service: GenService<{
  find: { methodKind: 'unary'; input: GenMessage<Ask>; output: GenMessage<Answer> }
  watch: { methodKind: 'server_streaming'; input: GenMessage<Ask>; output: GenMessage<Answer> }
}>
declare const Find: TypedDocumentNode<{ item: Item }, { id: string }>
declare const Rename: TypedDocumentNode<{ rename: Item }, { id: string; name: string }>
export const client = createClient({
  transports: {
    rest: restTransport({ baseUrl: 'https://example.com' }),
    graphql: graphqlTransport({ url: 'https://example.com/graphql' }),
    'grpc-web': grpcWebTransport({ baseUrl: 'https://example.com' }),
    sse: sseTransport({ baseUrl: 'https://example.com' }),
    websocket: websocketTransport({ url: 'wss://example.com' }),
  },
})
`

/** One of each kind in turn: the operation, and its call. */
const kinds: readonly ((n: number) => readonly [string, string])[] = [
  (n) => [`get('/v${n}/items/{id}', { output: type<Item>() })`, `await api.op${n}({ id: ${n} })`],
  (n) => [
    `get('/v${n}/items', { query: type<{ status?: 'active' }>(), output: type<Item[]>() })`,
    `await api.op${n}({ status: 'active' })`,
  ],
  (n) => [`post('/v${n}/items', { body: type<NewItem>(), output: type<Item>() })`, `await api.op${n}({ name: 'n' })`],
  (n) => [
    `get('/v${n}/{owner}/{repo}/items/{id}', { output: type<Item>() })`,
    `await api.op${n}({ owner: 'a', repo: 'b', id: ${n} })`,
  ],
  (n) => ['query(Find)', `await api.op${n}({ id: '1' })`],
  (n) => ['mutation(Rename)', `await api.op${n}({ id: '1', name: 'n' })`],
  (n) => ['rpc(Service.method.find)', `await api.op${n}({ id: '1' })`],
  (n) => ['rpc(Service.method.watch)', `api.op${n}({ id: '1' })`],
  (n) => [
    `events('/v${n}/items/{id}/events', { placed: type<Item>(), gone: type<NewItem>() })`,
    `api.op${n}({ id: ${n} })`,
  ],
  (n) => [
    `channel('items:{room}:${n}', { send: type<NewItem>(), receive: type<Item>() })`,
    `api.op${n}({ room: 'a' })`,
  ],
]

/** 1,000 of them, a hundred of each kind. */
function mixed(count: number): string {
  const all = Array.from({ length: count }, (_, n) => (kinds[n % kinds.length] as (typeof kinds)[number])(n))
  const contract = all.map(([operation], n) => `  op${n}: ${operation},`)
  const calls = all.map(([, call], n) => `export const r${n} = ${call}`)
  return `${head}export const api = client.bind({\n${contract.join('\n')}\n})\n${calls.join('\n')}\n`
}

/** Each operation of GitHub's REST API, as openapi-typescript describes it. */
const gitHub: string[] = []
let path = ''
const description = readFileSync(join(root, 'node_modules/@octokit/openapi-types/types.d.ts'), 'utf8')
for (const [, route, method] of description.matchAll(
  /^ {2}"(\/.*)": \{$|^ {4}(get|put|post|delete|patch): operations/gm,
)) {
  // Nested: flat, the few whose body and query share a name are refused, as they should be.
  if (method) gitHub.push(`  op${gitHub.length}: github.${method}('${path}', { shape: 'nested' }),`)
  path = route ?? path
}

const gitHubSource = (count: number): string => `
import type { paths } from '@octokit/openapi-types'
import { createClient } from 'polywire'
import { openapi, restTransport } from 'polywire/rest'
const github = openapi<paths>()
const client = createClient({ transports: { rest: restTransport({ baseUrl: 'https://example.com' }) } })
export const api = client.bind({\n${gitHub.slice(0, count).join('\n')}\n})
`

function measure(compiler: string, source: string): Compiled & { readonly instantiations: number } {
  writeFileSync(join(root, folder, 'contract.ts'), source)
  const compiled = compile(compiler, '-p', `${folder}/tsconfig.json`, '--extendedDiagnostics')
  return { ...compiled, instantiations: Number(/Instantiations:\s+(\d+)/.exec(compiled.output)?.[1] ?? Number.NaN) }
}

interface Case {
  readonly title: string
  readonly count: number
  readonly source: (count: number) => string
  /** Instantiations for one operation and its call, beyond those of the head; without, all are only reported. */
  readonly budget?: number
}

const cases: readonly Case[] = [
  { title: 'mixed operations with a call each', count: 1_000, source: mixed, budget: 250 },
  { title: "operations of GitHub's description", count: gitHub.length, source: gitHubSource },
]

function check(name: string, compiler: string, { title, count, source, budget }: Case): boolean {
  const none = budget === undefined ? 0 : measure(compiler, source(0)).instantiations
  const all = measure(compiler, source(count))
  const each = Math.round((all.instantiations - none) / count)
  const ok = all.ok && each <= (budget ?? Number.POSITIVE_INFINITY)
  const bar = budget === undefined ? '' : ` (at most ${budget})`
  console.log(`${ok ? '✓' : '✗'} ${name}: ${count} ${title}: ${each} instantiations each${bar}; ${all.ms} ms`)
  if (!all.ok) console.log(all.output.split('\n').slice(0, 20).join('\n'))
  return ok
}

export function checkInstantiations(): boolean {
  buildIfStale()
  mkdirSync(join(root, folder), { recursive: true })
  const emit = { noEmit: false, declaration: true, emitDeclarationOnly: true, outDir: 'out', customConditions: [] }
  const config = { extends: '../../tsconfig.json', compilerOptions: emit, include: ['contract.ts'], exclude: [] }
  writeFileSync(join(root, folder, 'tsconfig.json'), JSON.stringify(config))
  const results = Object.entries(compilers).flatMap(([name, compiler]) =>
    cases.map((one) => check(name, compiler, one)),
  )
  return results.every(Boolean)
}

if (import.meta.main) process.exitCode = checkInstantiations() ? 0 : 1
