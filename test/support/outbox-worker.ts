/**
 * One process of the kill runs, see outbox-kills.ts: an outbox on a Redis that it shares with others, killed or stopped at the
 * points of the code that its parent names.
 */
import { writeSync } from 'node:fs'
import { createClient, type Interceptor, redisStore, type Store, type } from 'polywire'
import { durable, outbox, settledBy } from 'polywire/outbox'
import { get, post, restTransport } from 'polywire/rest'
import { createClient as createRedis } from 'redis'
import { Run } from '../../src/outbox/fence.ts'

/** What a worker is started with, as JSON. */
export interface WorkerOptions {
  readonly redis: string
  readonly url: string
  readonly worker: string
  readonly leaseMs: number
  readonly absentAfterMs: number
  /** `fence`: none is looked at; `blind`: what honours no keys is taken for what does. */
  readonly without?: 'fence' | 'blind' | undefined
}

interface Arm {
  readonly point: string
  readonly how: 'kill' | 'stop'
}

const options = JSON.parse(process.argv[2] ?? '{}') as WorkerOptions
const { worker, leaseMs, absentAfterMs, without } = options
let armed: Arm | undefined

/** Written at once: what comes behind it may be the end of this process. */
function say(message: object): void {
  const line = `${JSON.stringify(message)}\n`
  for (;;)
    try {
      writeSync(1, line)
      return
    } catch (error) {
      if ((error as { code?: string }).code !== 'EAGAIN') throw error
    }
}

function reach(point: string): void {
  if (armed?.point !== point) return
  const { how } = armed
  armed = undefined
  say({ hit: point, how })
  process.kill(process.pid, how === 'kill' ? 'SIGKILL' : 'SIGSTOP')
  say({ goesOn: true })
}

const kindOf = (value: string): string => {
  const { state, v } = JSON.parse(value) as { state?: string; v?: number }
  return v === undefined ? 'lane' : state === 'sending' ? 'claim' : state === 'confirmed' ? 'final' : 'change'
}

/** The store, with a point before and after each write, and a word on each transition. */
function watched(store: Store): Store {
  const around = async (point: string, write: () => boolean | Promise<boolean>): Promise<boolean> => {
    reach(`before ${point}`)
    const done = await write()
    reach(`after ${point}`)
    return done
  }
  return {
    traits: store.traits,
    get: (key) => store.get(key),
    set: (key, value, write) => store.set(key, value, write),
    delete: (key, condition) => store.delete(key, condition),
    list: (prefix, page) => store.list?.(prefix, page) ?? [],
    listen: (topic, listener) => store.listen?.(topic, listener) ?? (() => {}),
    tell: (topic, text) => {
      reach('tell')
      return store.tell?.(topic, text)
    },
    add: (key, value, write) =>
      around(kindOf(value) === 'lane' ? 'lane' : 'add', async () => {
        const done = await store.add(key, value, write)
        if (key.includes('/lane/')) return done
        const { key: order, state, fence } = JSON.parse(value)
        const claimed = done && state === 'sending' ? { claimed: order, fence, at: Date.now() } : {}
        say({ added: order, row: done ? `- ${state}` : undefined, ...claimed })
        return done
      }),
    compareAndSet: (key, expected, next, write) =>
      around(kindOf(next), async () => {
        const done = await store.compareAndSet(key, expected, next, write)
        if (done && kindOf(next) !== 'lane') tellRow(JSON.parse(expected), JSON.parse(next))
        return done
      }),
  }
}

interface Row {
  readonly state: string
  readonly key: string
  readonly fence: number
  readonly mayHaveRun: boolean
  readonly sentFence: number
}

function tellRow(from: Row, to: Row): void {
  const isClaim = to.state === 'sending'
  const what = isClaim ? (to.sentFence === to.fence ? 'send' : 'ask') : to.mayHaveRun ? 'ran' : 'new'
  say({
    row: `${from.state} ${to.state} ${what}`,
    ...(isClaim && { claimed: to.key, fence: to.fence, at: Date.now() }),
  })
}

const redis = createRedis({ url: options.redis })
redis.on('error', () => {})
await redis.connect()
const subscriber = redis.duplicate()
subscriber.on('error', () => {})
await subscriber.connect()
const store = watched(redisStore(redis, { subscriber }))

if (without === 'fence') Object.defineProperty(Run.prototype, 'leftMs', { get: () => 60_000 })

interface Order {
  readonly key: string
}
interface NewOrder {
  readonly sku: string
  readonly lane?: string
}
const body = { body: type<NewOrder>(), output: type<Order>() }
const find = get('/a/orders', { query: type<{ reference: string }>(), output: type<Order[]>(), retry: false })
const contract = {
  k: durable('k', post('/k/orders', { ...body, idempotency: 'idempotency-key' })),
  a: durable(
    'a',
    post('/a/orders', { ...body, ...(without === 'blind' && { idempotency: 'idempotency-key' as const }) }),
    {
      settle: settledBy(
        find,
        ({ key }) => ({ reference: key }),
        (orders: Order[]) => orders[0],
        { absentAfterMs },
      ),
    },
  ),
  l: durable('l', post('/l/orders', { ...body, idempotency: 'idempotency-key' }), { lane: ({ lane = '' }) => lane }),
}

/** Right before the fence is looked at, and right behind it. */
const points: Interceptor = async (call, next) => {
  // What was told of the entry by then has left.
  await new Promise(setImmediate)
  if (call.operation.name.startsWith('POST')) reach('before fence')
  return next(call)
}
const rest = restTransport({ baseUrl: options.url, headers: { 'x-worker': worker } })
const { send } = rest
/** Requests that were sent under claims; what joins an entry that has ended asks for its reply without one. */
let claimed = 0
const runs = new Set<Run>()
const { around } = Run.prototype
Run.prototype.around = function (...args) {
  runs.add(this)
  return around.apply(this, args)
}
rest.send = (call) => {
  let sent = 0
  for (const { dispatches } of runs) sent += dispatches
  const isJoining = sent === claimed
  claimed = sent
  if (call.operation.name.startsWith('POST')) say({ stage: 'sent', key: call.idempotencyKey, worker, at: Date.now() })
  if (call.operation.name.startsWith('POST')) reach('after fence')
  return send.call(rest, isJoining ? call.with({ headers: { ...call.headers, 'x-joins': '1' } }) : call)
}
const transport = Object.assign(rest, { interceptors: [points] })

const box = outbox(store, { contract, leaseMs, maxSends: 1000 })
const client = createClient({
  transports: { rest: transport },
  outbox: box,
  // The deadline of a run would stop it as well, most times.
  timeoutMs: without === 'fence' ? 60_000 : 1000,
  retry: { budget: false },
})
const api = client.bind(contract)

process.on('message', (message: { arm?: Arm; place?: keyof typeof contract; key?: string; input?: NewOrder }) => {
  if (message.arm) armed = message.arm
  const { place, key = '', input = { sku: '' } } = message
  if (!place) return
  // Half of them as a program calls, half as a page does that shows them.
  const failed = (error: unknown): void => say({ failed: key, why: String(error) })
  if (key.length % 2 === 0) api[place](input, { idempotencyKey: key, timeoutMs: 20_000 }).catch(failed)
  else box.enqueue(contract[place], input, { idempotencyKey: key }).catch(failed)
})
process.on('disconnect', () => process.exit(0))
say({ ready: worker })
