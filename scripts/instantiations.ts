/**
 * What a contract costs the type checker: 1,000 mixed operations with a call each, against the same file without them.
 * Fails above the budget of instantiations; prints the times, which are a machine's own.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Compiled, compile, compilers, root } from './compilers.ts'

const operations = 1_000
const budget = 250
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

function source(count: number): string {
  const all = Array.from({ length: count }, (_, n) => (kinds[n % kinds.length] as (typeof kinds)[number])(n))
  const contract = all.map(([operation], n) => `  op${n}: ${operation},`)
  const calls = all.map(([, call], n) => `export const r${n} = ${call}`)
  return `${head}export const api = client.bind({\n${contract.join('\n')}\n})\n${calls.join('\n')}\n`
}

function compileSource(compiler: string, count: number): Compiled & { readonly instantiations: number } {
  writeFileSync(join(root, folder, 'contract.ts'), source(count))
  const compiled = compile(compiler, '-p', `${folder}/tsconfig.json`, '--extendedDiagnostics')
  return { ...compiled, instantiations: Number(/Instantiations:\s+(\d+)/.exec(compiled.output)?.[1] ?? Number.NaN) }
}

export function checkInstantiations(): boolean {
  mkdirSync(join(root, folder), { recursive: true })
  writeFileSync(
    join(root, folder, 'tsconfig.json'),
    '{ "extends": "../../tsconfig.json", "include": ["contract.ts", "../../transports/**/*.d.ts"], "exclude": [] }',
  )
  return Object.entries(compilers)
    .map(([name, compiler]) => {
      const without = compileSource(compiler, 0)
      const all = compileSource(compiler, operations)
      const each = Math.round((all.instantiations - without.instantiations) / operations)
      const ok = without.ok && all.ok && each <= budget
      console.log(
        `${ok ? '✓' : '✗'} ${name}: ${each} instantiations per operation and call (at most ${budget}); ${operations} of them in ${all.ms} ms, none in ${without.ms} ms`,
      )
      if (!all.ok) console.log(all.output.split('\n').slice(0, 20).join('\n'))
      return ok
    })
    .every(Boolean)
}

if (import.meta.main) process.exitCode = checkInstantiations() ? 0 : 1
