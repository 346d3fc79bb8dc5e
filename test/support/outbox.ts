import type { Call, ClientOptions, Failure } from 'polywire'
import {
  CallError,
  createClient,
  defineOperation,
  memoryStore,
  type Operation,
  type OperationInfo,
  type Store,
  type Unary,
} from 'polywire'
import { durable, type Outbox, type OutboxOptions, outbox, settledBy } from 'polywire/outbox'
import { memoryTransport } from 'polywire/testing'
import { type ManualClock, manualClock } from './manual-clock.ts'

/** An order, as the servers of these tests keep it. */
export interface Order {
  readonly id: number
  readonly reference: string
  readonly sku: string
}

type Place = Operation<'memory', Unary<{ sku: string; lane?: string }, Order>>

/** A unary operation over the in-memory transport. */
export function placing(changes: Partial<OperationInfo> = {}): Place {
  return defineOperation({
    name: 'POST /orders',
    protocol: 'memory',
    via: 'memory',
    kind: 'unary',
    isIdempotent: false,
    binding: undefined,
    ...changes,
  })
}

const finding: Operation<'memory', Unary<{ reference: string }, Order | undefined>> = defineOperation({
  name: 'GET /orders',
  protocol: 'memory',
  via: 'memory',
  kind: 'unary',
  isIdempotent: true,
  binding: undefined,
  retry: false,
})

const lane = ({ lane: name }: { sku: string; lane?: string }): string => name ?? ''

/** Operations of both kinds of server: one that honours keys, and one that can be asked. */
export const shop = {
  keyed: durable('keyed', placing({ idempotency: 'stripe' }), { keep: ({ id }) => ({ id }) }),
  asked: durable('asked', placing({ name: 'POST /v0/orders', isKeyedByDefault: true, idempotency: undefined }), {
    settle: settledBy(
      finding,
      ({ key }) => ({ reference: key }),
      (order) => order,
      { absentAfterMs: 10_000 },
    ),
  }),
  ordered: durable('ordered', placing({ name: 'POST /lanes', idempotency: 'stripe' }), { lane }),
}

/** What happens to a request: nothing in particular, or how it goes wrong. */
export type Fault =
  | 'lost' // never arrives, and nobody can tell
  | 'unanswered' // is carried out, and nobody can tell
  | 'hangs' // is carried out, and never answered
  | 'refused' // is not connected
  | Partial<Failure> // an answer

/** A server in this process: it carries orders out, and has faults to come. */
export class Shop {
  readonly orders: Order[] = []
  /** Every request that arrived: the operation and the key. */
  readonly requests: { readonly operation: string; readonly key: string | undefined; readonly at: number }[] = []
  readonly faults: Fault[] = []
  /** What comes to whoever asks for an order. */
  readonly askFaults: Fault[] = []
  readonly clock: ManualClock
  #answers = new Map<string, Order>()

  constructor(clock: ManualClock) {
    this.clock = clock
  }

  readonly handle = async (call: Call): Promise<unknown> => {
    const { operation, idempotencyKey: key } = call
    const isAsk = operation.name === 'GET /orders'
    const fault = (isAsk ? this.askFaults : this.faults).shift()
    const fail = (failure: Partial<Failure>): never => {
      throw new CallError({ code: 'unavailable', message: 'a fault', phase: 'headers', sent: 'yes', ...failure }, call)
    }
    if (fault === 'refused') fail({ sent: 'no', phase: 'connect', isRetryable: true })
    this.requests.push({ operation: operation.name, key, at: this.clock.now() })
    if (fault === 'lost') fail({ sent: 'maybe', isRetryable: true })
    if (typeof fault === 'object') fail(fault)
    if (isAsk) return this.orders.find(({ reference }) => reference === (call.input as { reference: string }).reference)
    const order = this.#carryOut(call)
    if (fault === 'unanswered') fail({ sent: 'maybe', isRetryable: true })
    if (fault === 'hangs') await new Promise((_, reject) => call.scope.onAbort(reject))
    return order
  }

  #carryOut({ operation, idempotencyKey: key = '', input }: Call): Order {
    const isKeyed = operation.idempotency !== undefined
    const known = isKeyed ? this.#answers.get(key) : undefined
    if (known) return known
    const order = { id: this.orders.length + 1, reference: key, sku: (input as { sku: string }).sku }
    this.orders.push(order)
    this.#answers.set(key, order)
    return order
  }
}

/** One process or tab: a client with its outbox on a store. */
export interface Tab {
  readonly box: Outbox
  readonly client: ReturnType<typeof makeClient>
  readonly api: ReturnType<ReturnType<typeof makeClient>['bind']> & {
    readonly keyed: Unary<{ sku: string; lane?: string }, Order>
    readonly asked: Unary<{ sku: string; lane?: string }, Order>
    readonly ordered: Unary<{ sku: string; lane?: string }, Order>
  }
  readonly warnings: string[]
}

function makeClient(server: Shop, box: Outbox, options: Partial<ClientOptions<never>>) {
  return createClient({
    transports: { memory: memoryTransport({ handle: server.handle }) },
    clock: server.clock,
    retry: false,
    ...options,
    outbox: box,
  })
}

/** Makes a tab; without options for the client it sends nothing twice by itself. */
export function tab(
  server: Shop,
  store: Store,
  options: Partial<OutboxOptions> = {},
  clientOptions: Partial<ClientOptions<never>> = {},
): Tab {
  const warnings: string[] = []
  const box = outbox(store, { contract: shop, ...options })
  const client = makeClient(server, box, {
    telemetry: { event: (event) => void (event.type === 'warning' && warnings.push(event.message)) },
    ...clientOptions,
  })
  return { box, client, api: client.bind((options.contract ?? shop) as typeof shop) as never, warnings }
}

/** A server, a clock and a store. */
export function setting(random?: () => number) {
  const clock = manualClock(random)
  const server = new Shop(clock)
  const store = memoryStore({ clock })
  return {
    clock,
    server,
    store: { ...bound(store), traits: { isAtomic: true, isShared: true, isDurable: true } } satisfies Store,
  }
}

/** The members of a store as values, so that a test may replace some. */
export function bound(store: Store): Store {
  return {
    traits: store.traits,
    get: (key) => store.get(key),
    set: (key, value, write) => store.set(key, value, write),
    add: (key, value, write) => store.add(key, value, write),
    compareAndSet: (key, expected, next, write) => store.compareAndSet(key, expected, next, write),
    delete: (key, condition) => store.delete(key, condition),
    list: (prefix, page) => store.list?.(prefix, page) ?? [],
    listen: (topic, listener) => store.listen?.(topic, listener) ?? (() => {}),
    tell: (topic, text) => store.tell?.(topic, text),
  }
}

/** What a tab that dies leaves: its store answers nobody any more, and its requests go nowhere. */
export function mortal(store: Store): Store & { die(): void } {
  let isDead = false
  const never = (): Promise<never> => new Promise(() => {})
  const alive =
    <A extends unknown[], R>(run: (...args: A) => R) =>
    (...args: A): R =>
      isDead ? (never() as R) : run(...args)
  const { get, set, add, compareAndSet, delete: remove, list, listen, tell } = bound(store)
  return {
    traits: store.traits,
    get: alive(get),
    set: alive(set),
    add: alive(add),
    compareAndSet: alive(compareAndSet),
    delete: alive(remove),
    list: alive(list as NonNullable<Store['list']>),
    listen: (topic, listener) => (listen as NonNullable<Store['listen']>)(topic, (text) => isDead || listener(text)),
    tell: alive(tell as NonNullable<Store['tell']>),
    die() {
      isDead = true
    },
  }
}
