/**
 * `npm run size -- --behaviours` (`=fetch` for the fetch face): what each behaviour of a program costs, in bytes of gzip.
 *
 * The bundle is made of the sources, and each of its bytes belongs, by its source map, to a declaration. Behaviours are
 * taken out one after the other, in the order of the table: what the rest weighs less is their price, so that all rows add
 * up to the bundle. Beside it stands what the behaviour alone would save, which knows nothing of words that others use, too.
 */
import { readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import ts from 'typescript'
import { root } from './compilers.ts'
import { browserSides } from './entries.ts'

/** A behaviour, and where it stands: files, or declarations in them (`file.ts#name`, `file.ts#Class.method`). First wins. */
type Behaviour = readonly [name: string, ...places: readonly string[]]

const core = 'src/core/call/'
const http = 'transports/http/'
const shared = 'transports/shared/'

const chain: readonly Behaviour[] = [
  [
    'options are checked by name, with the nearest one',
    'src/core/options.ts',
    'src/core/{retry,resume,policies}/options.ts',
    `${core}call-options.ts`,
    'src/client.ts#rules',
    'src/client.ts#checkClientOptions',
    `${core}interceptor.ts#checkInterceptors`,
    `${http}{spec,option-rules}.ts`,
    `${shared}option-rules.ts`,
    'transports/rest/exchange.ts#rules',
    'transports/fetch/options.ts',
  ],
  ['base URLs and pages', `${shared}base-url.ts`],
  ['telemetry that harms nobody', `${core}telemetry.ts`, 'src/interceptors/telemetry.ts'],
  ['idempotency keys and their profiles', `${core}{idempotency,uuid}.ts`, 'src/interceptors/idempotency-key.ts'],
  [
    'credentials: asked for each attempt, refreshed once, never to another origin',
    'src/interceptors/auth.ts',
    `${core}{credential,token-run}.ts`,
  ],
  ['which failures of the network pass', 'src/core/errors/transient.ts'],
  [
    'retry: safety, backoff, Retry-After, deadline, attempt timeout, failover hooks',
    'src/interceptors/retry.ts',
    'transports/platform/web.ts#retryLoop',
  ],
  ['budget, and waits that a server asked for', 'src/core/retry/limits.ts'],
  ['deadlines of calls and openings, one timer for all', 'src/interceptors/deadline.ts', 'src/core/time/clock.ts'],
  ['hooks of streams and of opt-in policies', 'src/interceptors/{resume,defaults}.ts'],
  ['Retry-After and dates of HTTP', 'src/core/errors/retry-after.ts'],
]

const wire: readonly Behaviour[] = [
  ['what a status means, and what to do about it', `${shared}http-status.ts`],
  ['what headers say of an error: rate limits, ids, challenges', `${http}errors.ts`],
  ['a fetch that fails: phase, sent, words, redirects', `${http}{fault,progress,redirect}.ts`],
  ['fetch itself: mocks, jsdom, stock or replaced', `${http}engine/stock-fetch.ts`, `${http}choose.ts`],
]

const kernel: readonly Behaviour[] = [
  ['error class: JSON and console without secrets, history, caller’s line', 'src/core/errors/*.ts'],
  ['headers: read, joined, refused where none may hold them', `${core}header-map.ts`],
  ['scope of a call: abort, end, listeners, late results', `${core}scope.ts`, 'src/core/time/bounded.ts'],
  ['code that is not ours is guarded', 'src/core/guard.ts', `${core}interceptor.ts`],
  ['a call as interceptors see it, nested calls', `${core}{call,context,nesting,face-host,reply}.ts`],
]

const behaviours: Readonly<Record<string, readonly Behaviour[]>> = {
  rest: [
    ['what error bodies say: problem+json, Google, and fifteen frameworks', `${http}{envelope,violations}.ts`],
    ['typed error bodies', 'transports/rest/response.ts#typedBody'],
    [
      'progress of uploads and downloads',
      'transports/rest/request.ts#reportProgress',
      'transports/rest/request.ts#uploadProgress',
      'transports/rest/exchange.ts#withProgress',
    ],
    ['deadline on the wire', `${shared}{deadline-header,grpc-timeout}.ts`],
    ['headers across origins', `${shared}cross-origin.ts`],
    ['queries: nested, four styles, nothing lost', `${http}query.ts`],
    ['paths that keep their segments', `${http}path.ts`],
    [
      'bodies: JSON that loses nothing, text, bytes, forms, codecs',
      `${http}{encode-body,bytes,codecs}.ts`,
      `${shared}json.ts`,
    ],
    ['flat and nested input', `${http}input.ts`],
    ['requests: order of layers, key in body or query', 'transports/rest/request.ts'],
    ['replies must be what is declared', 'transports/rest/response.ts'],
    ['whole bodies, bounded', `${http}collect.ts`],
    ['transport and builders', 'transports/rest/*.ts', 'transports/rest.ts'],
    ['one exchange over fetch', `${http}engine/fetch/*.ts`],
    ...chain,
    ...wire,
    ['inputs are copied, once', `${core}snapshot.ts`, 'src/core/tag.ts'],
    ['schemas, conversions, adapters', `${core}{schema,plan}.ts`],
    [
      'faces over a client',
      'src/call-runner.ts#CallRunner.addFace',
      'src/call-runner.ts#CallRunner.removeFace',
      'src/call-runner.ts#CallRunner.authOf',
    ],
    ...kernel,
    ['client, contract, runner', 'src/*.ts', `${core}*.ts`],
  ],
  fetch: [
    ['a clone of what was sent, to send it again', `${http}{replay-body,bytes}.ts`, 'src/core/tag.ts'],
    ['bodies that a deadline or silence ends', 'transports/fetch/watch.ts'],
    ['layers that retry do not multiply', 'transports/fetch/exhausted.ts'],
    ['arguments as fetch takes them', 'transports/fetch/request.ts'],
    ['names, origins and routes of requests', 'transports/fetch/operation.ts', `${shared}path-name.ts`],
    ['a Response of fetch', `${http}engine/fetch/*.ts`, `${http}responder.ts`, `${http}collect.ts`],
    ['transport, answers, rejections of fetch', 'transports/fetch/*.ts', 'transports/fetch.ts'],
    ...chain,
    ...wire,
    ...kernel,
    ['the client of a face', 'src/*.ts', `${core}*.ts`],
  ],
}

/** Lines of each declaration of a file: `name`, `Class.method`. */
function declarationsOf(file: string): Map<string, readonly [from: number, to: number]> {
  const source = ts.createSourceFile(file, readFileSync(root + file, 'utf8'), ts.ScriptTarget.Latest, true)
  const lines = new Map<string, readonly [number, number]>()
  const note = (name: string, node: ts.Node): void => {
    const line = (at: number): number => source.getLineAndCharacterOfPosition(at).line
    lines.set(name, [line(node.getStart()), line(node.end)])
  }
  for (const statement of source.statements) {
    if (ts.isVariableStatement(statement))
      for (const { name } of statement.declarationList.declarations) note(name.getText(), statement)
    if (!ts.isFunctionDeclaration(statement) && !ts.isClassDeclaration(statement)) continue
    const name = statement.name?.text ?? ''
    note(name, statement)
    if (ts.isClassDeclaration(statement))
      for (const member of statement.members) if (member.name) note(`${name}.${member.name.getText()}`, member)
  }
  return lines
}

/** The behaviour that a place in the sources belongs to; -1 for none. */
function finder(list: readonly Behaviour[]): (file: string, line: number) => number {
  const places = list.flatMap(([, ...all], index) =>
    all.flatMap((place) => {
      const [glob = '', symbol] = place.split('#')
      return [{ index, glob, symbol }]
    }),
  )
  const named = new Map<string, ReturnType<typeof declarationsOf>>()
  const matches = new Map<string, readonly (typeof places)[number][]>()
  return (file, line) => {
    let own = matches.get(file)
    if (!own) {
      own = places
        .filter(({ glob }) => globToRegExp(glob).test(file))
        .sort((a, b) => Number(!a.symbol) - Number(!b.symbol))
      matches.set(file, own)
    }
    for (const { index, symbol } of own) {
      if (symbol === undefined) return index
      if (!named.has(file)) named.set(file, declarationsOf(file))
      const lines = named.get(file)?.get(symbol)
      if (lines && line >= lines[0] && line <= lines[1]) return index
    }
    return -1
  }
}

function globToRegExp(glob: string): RegExp {
  const text = glob
    .replace(/[.]/g, '\\.')
    .replace(/\*/g, '[^/]+')
    .replace(/\{([^}]*)\}/g, (_, names: string) => `(?:${names.replaceAll(',', '|')})`)
  return new RegExp(`^${text}$`)
}

const gzipped = (text: string): number => gzipSync(text, { level: 9 }).length

/** Prints the table of a program. */
export async function printBehaviours(program: string, contents: string): Promise<void> {
  const list = behaviours[program]
  if (!list) throw new Error(`there is a table for ${Object.keys(behaviours).join(' and ')}`)
  const result = await build({
    stdin: { contents, resolveDir: root, sourcefile: 'program' },
    absWorkingDir: root,
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false,
    sourcemap: 'external',
    outfile: 'program.js',
    tsconfigRaw: '{}',
    external: ['node:*'],
    logLevel: 'error',
    conditions: ['polywire-source'],
    alias: browserSides,
  })
  const [map = '', code = ''] = [/\.map$/, /\.js$/].map(
    (end) => result.outputFiles.find(({ path }) => end.test(path))?.text,
  )
  const owners = ownersOf(code, new SourceMap(JSON.parse(map)), finder(list))
  const without = (removed: ReadonlySet<number>): number =>
    gzipped([...code].filter((_, at) => !removed.has(owners[at] as number)).join(''))
  const whole = gzipped(code)
  const removed = new Set<number>()
  let left = whole
  console.log('gzip, B   alone  behaviour')
  list.forEach(([name], index) => {
    const alone = whole - without(new Set([index]))
    removed.add(index)
    const rest = without(removed)
    console.log(`${String(left - rest).padStart(7)} ${String(alone).padStart(7)}  ${name}`)
    left = rest
  })
  console.log(`${String(left).padStart(7)}          what joins them`)
  console.log(`${String(whole).padStart(7)}          all: ${(whole / 1024).toFixed(1)} KB`)
}

/** Whose each character of the bundle is. */
function ownersOf(code: string, map: SourceMap, find: (file: string, line: number) => number): Int16Array {
  const owners = new Int16Array(code.length).fill(-1)
  let at = 0
  code.split('\n').forEach((text, line) => {
    for (let column = 0; column < text.length; column++) {
      const entry = map.findEntry(line, column)
      if ('originalSource' in entry) {
        const file = entry.originalSource.replace(/^.*?(?=(?:src|transports)\/)/, '')
        owners[at + column] = find(file, entry.originalLine)
      }
    }
    at += text.length + 1
  })
  return owners
}
