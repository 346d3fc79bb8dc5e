/**
 * `npm run ways`: which functions a call passes, traced on the sources over real servers. Says what is over the design's
 * bar and fails above a limit, or where docs/architecture.md has other figures. `--json` prints the figures, `--list` names
 * the functions in the order in which they are entered, `--write` puts the figures into the page.
 *
 * A function is one by its position in src/ or transports/; going on behind an `await` is no entry. A move is an entry
 * into another file than the entry before it.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { registerHooks } from 'node:module'
import type { AddressInfo } from 'node:net'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { type WebSocket, WebSocketServer } from 'ws'

interface Bound {
  readonly functions: number
  readonly files?: number
}

/** What the design asks for, and what the gate holds until the bar is met: today's figure, so that none grows unseen. */
const bounds: Readonly<Record<Way, { readonly bar: Bound; readonly limit: Bound }>> = {
  unary: { bar: { functions: 60, files: 20 }, limit: { functions: 60, files: 20 } },
  sse: { bar: { functions: 20 }, limit: { functions: 20 } },
  frame: { bar: { functions: 28 }, limit: { functions: 28 } },
  send: { bar: { functions: 22 }, limit: { functions: 22 } },
}

type Way = 'unary' | 'sse' | 'frame' | 'send'

interface Place {
  readonly file: string
  readonly line: number
  readonly name: string
}

const root = fileURLToPath(new URL('..', import.meta.url))
const places: Place[] = []
let entered: number[] = []
let isRecording = false

/** Called first by every function of the sources, once `instrument` has been over them. */
function enter(place: number): void {
  if (isRecording) entered.push(place)
}
Object.assign(globalThis, { polywireEnter: enter })

registerHooks({
  load(url, context, nextLoad) {
    const file = url.startsWith('file:') ? relative(root, fileURLToPath(url)) : ''
    if (!/^(src|transports)\/.*\.ts$/.test(file)) return nextLoad(url, context)
    return { format: 'module-typescript', source: instrument(file), shortCircuit: true }
  },
})

/** The text of a source in which every function calls `enter` first. Lines stay where they are. */
function instrument(file: string): string {
  const text = readFileSync(root + file, 'utf8')
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const inserted: { readonly at: number; readonly text: string }[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const body = node.body as ts.Node
      const start = node.getStart(source)
      const line = source.getLineAndCharacterOfPosition(start).line + 1
      const call = `polywireEnter(${places.push({ file, line, name: nameOf(node, source) }) - 1})`
      if (ts.isBlock(body)) inserted.push({ at: body.getStart(source) + 1, text: `${call};` })
      else inserted.push({ at: body.getStart(source), text: `(${call},` }, { at: body.end, text: ')' })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  let result = ''
  let from = 0
  for (const { at, text: part } of inserted.toSorted((a, b) => a.at - b.at)) {
    result += text.slice(from, at) + part
    from = at
  }
  return result + text.slice(from)
}

function nameOf(node: ts.SignatureDeclaration, source: ts.SourceFile): string {
  const owner = ts.isClassElement(node) && ts.isClassLike(node.parent) ? `${node.parent.name?.text ?? 'class'}.` : ''
  if (ts.isConstructorDeclaration(node)) return `${owner}constructor`
  if (node.name) return owner + node.name.getText(source)
  const { parent } = node
  const isNamed =
    ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent) || ts.isPropertyDeclaration(parent)
  return isNamed ? parent.name.getText(source) : '(anonymous)'
}

async function record(run: () => Promise<unknown>): Promise<number[]> {
  entered = []
  isRecording = true
  await run()
  isRecording = false
  return entered
}

/** The third warm one. */
async function recordWarm(run: () => Promise<unknown>): Promise<number[]> {
  for (let warmUp = 0; warmUp < 3; warmUp++) await record(run)
  return record(run)
}

async function traceAll(): Promise<Record<Way, number[]>> {
  // By variable: what is instrumented must not be loaded before the hook stands.
  const { createClient, type } = await import('polywire')
  const { get, restTransport } = await import('polywire/rest')
  const { events, sseTransport } = await import('polywire/sse')
  const { channel, websocketTransport } = await import('polywire/websocket')
  const servers = await startServers()
  const client = createClient({
    transports: {
      rest: restTransport({ baseUrl: servers.http }),
      sse: sseTransport({ baseUrl: servers.http }),
      websocket: websocketTransport({ url: servers.ws }),
    },
  })
  const api = client.bind({
    user: get('/users/{id}', { output: type<{ name: string }>() }),
    watch: events('/watch', { tick: type<number>() }),
    chat: channel('chat', { send: type<string>(), receive: type<string>() }),
  })

  const unary = await recordWarm(() => api.user({ id: 42 }))

  const ticks = api.watch()[Symbol.asyncIterator]()
  const first = ticks.next()
  await servers.pushEvent()
  await first
  const sse = await recordWarm(async () => {
    const next = ticks.next()
    await servers.pushEvent()
    await next
  })

  const room = api.chat()
  await room.opened
  const said = room[Symbol.asyncIterator]()
  const frame = await recordWarm(async () => {
    const next = said.next()
    servers.pushFrame()
    await next
  })
  const send = await recordWarm(async () => {
    const received = servers.received()
    await room.send('hi')
    await received
  })
  await client.close()
  servers.close()
  return { unary, sse, frame, send }
}

/** One that answers requests and pushes events, one that pushes frames and says when it received a message. */
async function startServers() {
  let hasStream = (_stream: ServerResponse): void => {}
  const streaming = new Promise<ServerResponse>((resolve) => {
    hasStream = resolve
  })
  let ids = 0
  const http = createServer((request, response) => {
    if (request.url === '/watch') {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      hasStream(response)
    } else response.writeHead(200, { 'content-type': 'application/json' }).end('{"name":"Ada"}')
  })
  let socket: WebSocket | undefined
  let messageReceived = (): void => {}
  const sockets = new WebSocketServer({ server: http })
  sockets.on('connection', (each) => {
    socket = each
    each.on('message', (data) => {
      const { type, channel, ref } = JSON.parse(String(data)) as Record<string, unknown>
      if (type === 'subscribe') each.send(JSON.stringify({ type: 'subscribed', channel, ref, id: ids }))
      if (type === 'message') messageReceived()
    })
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const { port } = http.address() as AddressInfo
  return {
    http: `http://127.0.0.1:${port}`,
    ws: `ws://127.0.0.1:${port}/ws`,
    pushEvent: async () => (await streaming).write(`event: tick\nid: ${++ids}\ndata: ${ids}\n\n`),
    pushFrame: () => socket?.send(JSON.stringify({ type: 'data', channel: 'chat', id: ++ids, data: 'hello' })),
    received: () =>
      new Promise<void>((resolve) => {
        messageReceived = resolve
      }),
    close: () => {
      sockets.close()
      http.closeAllConnections()
      http.close()
    },
  }
}

function figures(trace: readonly number[]) {
  const files = trace.map((place) => places[place]?.file)
  const moves = files.filter((file, index) => index > 0 && file !== files[index - 1]).length
  return { functions: new Set(trace).size, files: new Set(files).size, moves }
}

/** The page with these figures: it has one of each way, in bold, in the order of `bounds`. */
function pageWith(page: string, figures: readonly { readonly functions: number; readonly files: number }[]): string {
  let index = 0
  return page.replaceAll(/\*\*\d+ functions in \d+ files\*\*/g, (old) => {
    const figure = figures[index++]
    return figure ? `**${figure.functions} functions in ${figure.files} files**` : old
  })
}

const traces = await traceAll()
const ways = Object.keys(bounds) as Way[]
const measured = Object.fromEntries(ways.map((way) => [way, figures(traces[way])]))
const exceeds = (way: Way, bound: Bound): boolean => {
  const { functions = 0, files = 0 } = measured[way] ?? {}
  return functions > bound.functions || files > (bound.files ?? Number.POSITIVE_INFINITY)
}

if (process.argv.includes('--json')) console.log(JSON.stringify(measured, null, 2))
else {
  for (const way of ways) {
    const { functions, files, moves } = measured[way] ?? { functions: 0, files: 0, moves: 0 }
    const { bar, limit } = bounds[way]
    const text = ({ functions, files }: Bound): string => `${functions}${files === undefined ? '' : ` in ${files}`}`
    console.log(
      `${exceeds(way, limit) ? '✗' : '✓'} ${way.padEnd(6)} ${functions} functions in ${files} files, ${moves} moves` +
        ` (limit ${text(limit)}, bar ${text(bar)}${exceeds(way, bar) ? ', over' : ''})`,
    )
    if (!process.argv.includes('--list')) continue
    const seen = new Set<number>()
    for (const place of traces[way]) {
      if (seen.has(place)) continue
      seen.add(place)
      const { file, line, name } = places[place] as Place
      console.log(`    ${String(seen.size).padStart(3)} ${name.padEnd(32)} ${file}:${line}`)
    }
  }
}
process.exitCode = ways.some((way) => exceeds(way, bounds[way].limit)) ? 1 : 0

const page = `${root}docs/architecture.md`
const old = readFileSync(page, 'utf8')
const renewed = pageWith(old, Object.values(measured))
if (process.argv.includes('--write')) writeFileSync(page, renewed)
else if (renewed !== old) {
  console.error('docs/architecture.md has other figures: npm run ways -- --write')
  process.exitCode = 1
}
