/**
 * Three processes with an outbox on one Redis, killed and stopped at points of their code while servers lose, delay and
 * refuse: what has become of the orders.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { createClient as createRedis } from 'redis'
import { BundledProgram } from './bundled-program.ts'
import type { WorkerOptions } from './outbox-worker.ts'
import { seeded } from './seeded.ts'
import { RedisServer } from './servers/redis.ts'

export interface KillOptions {
  readonly seed: number
  /** Of each kind of server. */
  readonly orders: number
  /** Of the kind that is called in lanes. @defaultValue `orders` */
  readonly laneOrders?: number
  readonly kills: number
  readonly stops: number
  readonly absentAfterMs?: number
  readonly without?: WorkerOptions['without']
  /** Requests that are carried out after their call has given up. @defaultValue 0.04 */
  readonly late?: number
  /** The servers make no faults. @defaultValue false */
  readonly isCalm?: boolean
  /** How long entries are waited for; ms. @defaultValue 90_000 */
  readonly patienceMs?: number
  /** Orders of these kinds only. @defaultValue all */
  readonly kinds?: readonly Kind[]
  /** The points at which processes are killed or stopped. @defaultValue all */
  readonly points?: readonly string[]
}

/** `k` honours keys, `a` honours none and can be asked, `l` honours keys and is called in lanes. */
export type Kind = 'k' | 'a' | 'l'

export interface KillResult {
  readonly kills: number
  readonly stops: number
  readonly hits: Readonly<Record<string, number>>
  /** Orders that no server has, by kind. */
  readonly lost: Readonly<Record<Kind, number>>
  /** Orders that a server has more than once, by kind. */
  readonly doubled: Readonly<Record<Kind, number>>
  /** Entries that are not confirmed, or were refused and are not failed. */
  readonly left: readonly string[]
  /** Pairs that a lane has carried out in another order than that of writing. */
  readonly disordered: number
  /** Sends at `k` while another process had a newer claim. */
  readonly trespassing: number
  readonly trespasses: readonly string[]
  /** Calls that failed before their order was written, and were made again. */
  readonly unwritten: readonly string[]
  /** Transitions that were seen. */
  readonly rows: ReadonlySet<string>
  readonly ms: number
}

const leaseMs = 2000
/** A process that is stopped behind the fence sends late: that is what no client can keep from happening. */
const points = [
  'before add',
  'after add',
  'before claim',
  'after claim',
  'before fence',
  'after fence',
  'before final',
  'after final',
  'before change',
  'after change',
  'before lane',
  'after lane',
  'tell',
  'head',
  'body',
  'answer',
]
const unstoppable = ['after fence', 'head', 'body', 'answer']
const laneCount = 20
/** Orders that a server refuses for good: they fail, whatever happens meanwhile. */
const refusedCount = 25
const isRefused = (key: string): boolean => key.includes('bad')

/** Carries out what `options` say; the result is the same for a seed as far as the machine's own timing allows. */
export async function runKills(options: KillOptions): Promise<KillResult> {
  await using redis = await RedisServer.start()
  const run = new KillRun(options, redis.url)
  try {
    return await run.run()
  } finally {
    await run.close()
  }
}

interface Worker {
  readonly name: string
  readonly child: ChildProcess
  readonly jobs: Map<string, Job>
  isStopped: boolean
  isReady: boolean
}

interface Job {
  readonly kind: Kind
  readonly key: string
  readonly input: { readonly sku: string; readonly lane?: string }
}

class KillRun {
  readonly #options: KillOptions
  readonly #redis: string
  readonly #random: () => number
  readonly #shop: FaultyShop
  readonly #workers: Worker[] = []
  readonly #waiting: Job[] = []
  readonly #accepted = new Set<string>()
  readonly #rows = new Set<string>()
  readonly #hits: Record<string, number> = {}
  readonly #claims = new Map<string, { readonly worker: string; readonly fence: number; readonly at: number }[]>()
  /** Lanes take one order after the other: an order is handed out when the one before was written. */
  readonly #lanes = new Map<string, Job[]>()
  readonly #trespasses: string[] = []
  readonly #unwritten: string[] = []
  #kills = 0
  #stops = 0
  #names = 0
  #total = 0
  #handedAt = 0
  #isOver = false
  #isClosed = false
  #program: BundledProgram | undefined
  #wake: () => void = () => {}

  constructor(options: KillOptions, redis: string) {
    this.#options = options
    this.#redis = redis
    this.#random = seeded(options.seed)
    this.#shop = new FaultyShop(
      this.#random,
      options.isCalm ? 0 : (options.late ?? 0.04),
      options.isCalm === true,
      (stage, worker) => this.#reached(stage, worker),
    )
  }

  async run(): Promise<KillResult> {
    const started = Date.now()
    await this.#shop.listen()
    this.#program = await BundledProgram.of('outbox-worker.ts')
    this.#fill()
    for (let count = 0; count < 3; count++) this.#spawn()
    const injecting = this.#inject()
    while (
      this.#accepted.size < this.#total ||
      this.#kills < this.#options.kills ||
      this.#stops < this.#options.stops
    ) {
      this.#hand()
      await this.#changed()
    }
    this.#isOver = true
    await injecting
    const left = await this.#settled()
    return { ...this.#judge(left), ms: Date.now() - started }
  }

  async close(): Promise<void> {
    this.#isOver = this.#isClosed = true
    for (const { child } of this.#workers) child.kill('SIGKILL')
    await this.#shop.close()
    this.#program?.[Symbol.dispose]()
  }

  #fill(): void {
    const { orders, laneOrders = orders, kinds = ['k', 'a', 'l'] } = this.#options
    let count = 0
    for (let n = 0; n < orders; n++)
      for (const kind of kinds) {
        if (kind === 'l' && n >= laneOrders) continue
        count++
        const lane = `lane-${n % laneCount}`
        const job: Job = {
          kind,
          key: `${kind}-${'x'.repeat(n % 2)}${n}`,
          input: { sku: `${n}`, ...(kind === 'l' && { lane }) },
        }
        if (kind !== 'l') this.#waiting.push(job)
        else this.#lanes.set(lane, [...(this.#lanes.get(lane) ?? []), job])
      }
    for (let n = 0; n < refusedCount; n++)
      this.#waiting.push({ kind: kinds[0] as Kind, key: `${kinds[0]}-bad${n}`, input: { sku: 'bad' } })
    this.#total = count + refusedCount
    for (const [first] of this.#lanes.values()) if (first) this.#waiting.push(first)
  }

  /** Hands orders out, a few at a time, so that there is work as long as there are kills to come. */
  #hand(): void {
    const { kills, stops, kinds = ['k', 'a'] } = this.#options
    const isOwed = this.#kills < kills || this.#stops < stops
    const isIdle = Date.now() - this.#handedAt > 200
    // There is work as long as somebody is to be killed at it.
    if (isOwed && isIdle && this.#waiting.length === 0) {
      const kind = kinds[this.#total % kinds.length] as Kind
      this.#waiting.push({
        kind: kind === 'l' ? 'k' : kind,
        key: `${kind === 'l' ? 'k' : kind}-more${this.#total++}`,
        input: { sku: 'more' },
      })
    }
    const progress = (this.#kills + this.#stops + 1) / (kills + stops)
    while (this.#waiting.length > 0) {
      const ready = this.#workers.filter((worker) => worker.isReady && !worker.isStopped && worker.jobs.size < 8)
      const worker = ready[Math.floor(this.#random() * ready.length)]
      if (!worker || (this.#accepted.size > progress * this.#total && !isIdle)) return
      this.#handedAt = Date.now()
      const job = this.#waiting.splice(Math.floor(this.#random() * this.#waiting.length), 1)[0] as Job
      worker.jobs.set(job.key, job)
      worker.child.send({ place: job.kind, key: job.key, input: job.input }, () => {})
    }
  }

  #spawn(): void {
    const name = `w${++this.#names}`
    const { without } = this.#options
    const { absentAfterMs = 3000 } = this.#options
    const options: WorkerOptions = {
      redis: this.#redis,
      url: this.#shop.url,
      worker: name,
      leaseMs,
      absentAfterMs,
      without,
    }
    const child = spawn(process.execPath, [this.#program?.path ?? '', JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', process.env.KILLS_VERBOSE ? 'inherit' : 'ignore', 'ipc'],
    })
    const worker: Worker = { name, child, jobs: new Map(), isStopped: false, isReady: false }
    this.#workers.push(worker)
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) =>
      this.#heard(worker, JSON.parse(line)),
    )
    child.on('error', () => {})
    child.on('close', () => {
      this.#workers.splice(this.#workers.indexOf(worker), 1)
      // What was not written, as far as is known, is said again: under the same key it is the same order.
      for (const job of worker.jobs.values()) this.#waiting.push(job)
      if (!this.#isClosed) this.#spawn()
      this.#wake()
    })
  }

  #heard(worker: Worker, message: Record<string, any>): void {
    if (message.ready) worker.isReady = true
    if (message.goesOn) worker.isStopped = false
    if (message.failed !== undefined) this.#failed(worker, message.failed, message.why)
    if (message.row) this.#rows.add(message.row)
    if (message.stage) this.#fences.push(message as never)
    if (message.claimed) {
      const claims = this.#claims.get(message.claimed) ?? []
      this.#claims.set(message.claimed, [...claims, { worker: worker.name, fence: message.fence, at: message.at }])
    }
    if (message.added !== undefined) {
      const job = worker.jobs.get(message.added)
      worker.jobs.delete(message.added)
      if (!this.#accepted.has(message.added)) {
        this.#accepted.add(message.added)
        const lane = job?.input.lane
        const list = lane === undefined ? undefined : this.#lanes.get(lane)
        const next = list?.[list.findIndex(({ key }) => key === message.added) + 1]
        if (next) this.#waiting.push(next)
      }
    }
    if (message.hit) this.#hit(worker, message.hit, message.how)
    this.#wake()
  }

  /** A call has failed before its order was written, as on a busy machine: it is made again, under the same key. */
  #failed(worker: Worker, key: string, why: string): void {
    const job = worker.jobs.get(key)
    if (!job) return
    worker.jobs.delete(key)
    this.#waiting.push(job)
    this.#unwritten.push(`${worker.name} ${key}: ${why}`)
  }

  #hit(worker: Worker, point: string, how: 'kill' | 'stop'): void {
    this.#hits[`${how} ${point}`] = (this.#hits[`${how} ${point}`] ?? 0) + 1
    if (how === 'kill') {
      this.#kills++
      worker.isReady = false
      return
    }
    this.#stops++
    worker.isStopped = true
    const forMs = this.#options.without === 'fence' ? 3 * leaseMs : this.#random() * 3 * leaseMs
    this.#stopped.push({ worker: worker.name, point, at: Date.now(), until: Date.now() + forMs })
    setTimeout(() => this.#goOn(worker), forMs)
  }

  /** Told again until the process says that it goes on: it may have been told before it stood still. */
  #goOn(worker: Worker): void {
    if (!worker.isStopped || !this.#workers.includes(worker)) return
    worker.child.kill('SIGCONT')
    setTimeout(() => this.#goOn(worker), 50)
  }

  /** The server has come so far with a request of this worker. */
  #reached(stage: string, name: string): void {
    const worker = this.#workers.find((each) => each.name === name)
    if (!worker || this.#armed?.point !== stage || this.#isOver || worker.isStopped || !worker.isReady) return
    this.#armed = undefined
    worker.child.kill('SIGKILL')
    this.#hit(worker, stage, 'kill')
  }

  #armed: { readonly point: string } | undefined

  /** One injury after the other: each is armed at a process until it is hit, or for a while. */
  async #inject(): Promise<void> {
    const { kills, stops, points: chosen = points } = this.#options
    while (!this.#isOver && (this.#kills < kills || this.#stops < stops)) {
      // One is stopped at a time: somebody has to take over what it holds.
      if (this.#workers.some(({ isStopped }) => isStopped) && this.#kills >= kills) {
        await this.#changed()
        continue
      }
      const before = this.#kills + this.#stops
      const isStop =
        this.#kills >= kills ||
        (this.#stops < stops &&
          !this.#workers.some(({ isStopped }) => isStopped) &&
          this.#random() < stops / (kills + stops))
      const possible = isStop ? chosen.filter((point) => !unstoppable.includes(point)) : chosen
      const point = possible[Math.floor(this.#random() * possible.length)] as string
      const ready = this.#workers.filter((worker) => worker.isReady && !worker.isStopped)
      const worker = ready[Math.floor(this.#random() * ready.length)]
      if (['head', 'body', 'answer'].includes(point)) this.#armed = { point }
      else worker?.child.send({ arm: { point, how: isStop ? 'stop' : 'kill' } }, () => {})
      const until = Date.now() + 400
      while (this.#kills + this.#stops === before && Date.now() < until && !this.#isOver) await this.#changed()
      this.#armed = undefined
      if (worker?.isReady && !worker.isStopped) worker.child.send({ arm: { point: 'none', how: 'kill' } }, () => {})
    }
  }

  /** Something was heard, or a moment has passed. */
  #changed(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, 20)
      const before = this.#wake
      this.#wake = () => {
        clearTimeout(timer)
        before()
        this.#wake = () => {}
        resolve()
      }
    })
  }

  /** Waits until every entry has ended; what has not by the end of patience is left. */
  async #settled(): Promise<string[]> {
    const redis = createRedis({ url: this.#redis })
    await redis.connect()
    const { patienceMs } = this.#options
    let until = Date.now() + (patienceMs ?? 90_000)
    for (;;) {
      const states = new Map<string, string>()
      for await (const keys of redis.scanIterator({ MATCH: '*outbox/*', COUNT: 1000 })) {
        const places = keys.filter((key) => key.includes('/') && !key.includes('/lane/'))
        for (const text of places.length > 0 ? await redis.mGet(places) : []) {
          const record = JSON.parse(text ?? '{}')
          if (record.key) states.set(record.key, `${record.state} ${record.reason ?? ''} ${record.key}`)
          // On a machine too busy to answer in a second, the backoff of an order may have grown to minutes: it is no loss.
          if (patienceMs === undefined && record.state === 'queued')
            until = Math.max(until, (record.nextAt ?? 0) + 30_000)
        }
      }
      const isRight = (state: string, key: string): boolean => state.startsWith(isRefused(key) ? 'failed' : 'confirmed')
      const left = [...states].flatMap(([key, state]) => (isRight(state, key) ? [] : [state]))
      const missing = [...this.#accepted].filter((key) => !states.has(key)).map((key) => `missing ${key}`)
      if ((left.length === 0 && missing.length === 0) || Date.now() > until) {
        // What was sent late still arrives, and what is stopped comes back.
        while (this.#workers.some(({ isStopped }) => isStopped)) await this.#changed()
        await new Promise((resolve) => setTimeout(resolve, 3000))
        redis.destroy()
        return [...left, ...missing]
      }
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }

  #judge(left: string[]): Omit<KillResult, 'ms'> {
    const lost = { k: 0, a: 0, l: 0 }
    const doubled = { k: 0, a: 0, l: 0 }
    for (const key of this.#accepted) {
      const kind = key[0] as Kind
      const count = this.#shop.carriedOut.get(key) ?? 0
      if (count === 0 && !isRefused(key)) lost[kind]++
      doubled[kind] += Math.max(0, count - 1)
      if (count > 1 && process.env.KILLS_VERBOSE) this.#explain(key)
    }
    let disordered = 0
    for (const list of this.#lanes.values()) {
      const places = list.map(({ key }) => this.#shop.order.indexOf(key)).filter((place) => place >= 0)
      for (let at = 1; at < places.length; at++) {
        if ((places[at] as number) > (places[at - 1] as number)) continue
        disordered++
        if (process.env.KILLS_VERBOSE)
          for (const key of places.slice(at - 1, at + 1)) this.#explain(this.#shop.order[key] as string)
      }
    }
    return {
      kills: this.#kills,
      stops: this.#stops,
      hits: this.#hits,
      lost,
      doubled,
      left,
      disordered,
      trespassing: this.#trespassing(),
      rows: this.#rows,
      trespasses: this.#trespasses,
      unwritten: this.#unwritten,
    }
  }

  /** How an order came to be doubled. */
  #explain(key: string): void {
    const of = <T extends { key?: string }>(list: readonly T[]): T[] => list.filter((each) => each.key === key)
    console.error(`doubled ${key}`, {
      claims: this.#claims.get(key),
      requests: of(this.#shop.requests),
      carriedOut: of(this.#shop.carries),
      stopped: this.#stopped.filter(
        ({ until }) =>
          until > (of(this.#shop.requests)[0]?.at ?? 0) - 10_000 &&
          until < (of(this.#shop.requests).at(-1)?.at ?? 0) + 10_000,
      ),
      fences: of(this.#fences),
    })
  }

  readonly #stopped: { worker: string; point: string; at: number; until: number }[] = []
  readonly #fences: { key: string; worker: string; at: number; stage: string }[] = []

  /** Requests under keys that somebody else had claimed anew well before they came. */
  #trespassing(): number {
    let count = 0
    for (const { key, worker, at, isJoining } of this.#shop.requests) {
      // Who has joined an entry that somebody else has brought to its end asks for the reply under its key.
      if (isJoining) continue
      const claims = this.#claims.get(key) ?? []
      const own = claims.filter((claim) => claim.worker === worker && claim.at <= at).at(-1)
      const newer = claims.find(
        (claim) => claim.worker !== worker && claim.fence > (own?.fence ?? 0) && claim.at < at - leaseMs / 4,
      )
      if (newer) {
        count++
        if (process.env.KILLS_VERBOSE) this.#explain(key)
        this.#trespasses.push(`${key} by ${worker} at ${at}, ${JSON.stringify(claims)}`)
      }
    }
    return count
  }
}

/** The servers: they reset 10 % of the requests, answer 503 to 10 %, carry 4 % out late, and forget 1 % of the answers. */
class FaultyShop {
  readonly carriedOut = new Map<string, number>()
  /** Keys, in the order in which they were first carried out. */
  readonly order: string[] = []
  readonly requests: {
    readonly key: string
    readonly worker: string
    readonly at: number
    readonly isJoining: boolean
  }[] = []
  readonly carries: { readonly key: string; readonly at: number }[] = []
  readonly #answers = new Set<string>()
  readonly #random: () => number
  readonly #late: number
  readonly #isCalm: boolean
  readonly #onStage: (stage: string, worker: string) => void
  readonly #server: Server

  constructor(random: () => number, late: number, isCalm: boolean, onStage: (stage: string, worker: string) => void) {
    this.#random = random
    this.#late = late
    this.#isCalm = isCalm
    this.#onStage = onStage
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch(() => response.destroy())
    })
    // Who was stopped finds its connection again: what it sends late arrives.
    this.#server.keepAliveTimeout = 60_000
  }

  listen(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://localhost')
    const worker = String(request.headers['x-worker'])
    const key = String(request.headers['idempotency-key'])
    if (request.method === 'POST') {
      this.#onStage('head', worker)
      this.requests.push({ key, worker, at: Date.now(), isJoining: request.headers['x-joins'] !== undefined })
    }
    // Whoever has the whole request carries it out, whether or not somebody waits for the answer.
    const isWhole = await drained(request)
    if (!isWhole) return
    const chance = this.#isCalm ? 0.5 : this.#random()
    if (chance < 0.1) return void request.socket.destroy()
    if (chance < 0.2) return void response.writeHead(503).end()
    if (request.method === 'GET') {
      const reference = url.searchParams.get('reference') ?? ''
      return answer(response, this.carriedOut.has(reference) ? [{ key: reference }] : [])
    }
    if (isRefused(key)) return void response.writeHead(400).end()
    this.#onStage('body', worker)
    if (chance < 0.2 + this.#late) await new Promise((resolve) => setTimeout(resolve, 1100 + this.#random() * 1400))
    this.#carryOut(key, url.pathname !== '/a/orders')
    if (chance > 0.99) return void request.socket.destroy()
    answer(response, { key })
    this.#onStage('answer', worker)
  }

  #carryOut(key: string, isKeyed: boolean): void {
    if (isKeyed && this.#answers.has(key)) return
    if (!this.#answers.has(key)) this.order.push(key)
    this.#answers.add(key)
    this.carries.push({ key, at: Date.now() })
    this.carriedOut.set(key, (this.carriedOut.get(key) ?? 0) + 1)
  }
}

async function drained(request: IncomingMessage): Promise<boolean> {
  try {
    for await (const _ of request);
  } catch {}
  return request.complete
}

function answer(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
