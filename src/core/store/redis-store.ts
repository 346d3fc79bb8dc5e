import { refusal } from '../errors/refusal.ts'
import { checkOptions, has, type RulesOf, takes, text } from '../options.ts'
import { Listeners } from './listeners.ts'
import type { Store, StoreEntry, StorePage, StoreTraits, StoreWrite } from './store.ts'

/** A ready client of `redis` (node-redis) or of `ioredis`, or of a cluster of either: what is asked of it. */
export interface RedisClient {
  get(key: string): Promise<unknown>
  eval(script: string, ...rest: any[]): Promise<unknown>
  publish(channel: string, message: string): Promise<unknown>
}

/** A second connection of the same library, which does nothing but listen. */
export interface RedisSubscriber {
  subscribe(channel: string, ...rest: any[]): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
}

/** Where a {@link redisStore} keeps its entries, and how it hears of others. */
export interface RedisStoreOptions {
  /**
   * Stands before each key. The braces make it a hash tag: all keys lie in one slot of a cluster, which `list()` needs.
   *
   * @defaultValue '{polywire}:'
   */
  readonly prefix?: string | undefined
  /** Makes `listen()` possible: a connection that subscribes cannot do anything else. @defaultValue nobody listens */
  readonly subscriber?: RedisSubscriber | undefined
}

const rules: RulesOf<RedisStoreOptions> = {
  prefix: text,
  subscriber: /* @__PURE__ */ takes('a second client, connected', /* @__PURE__ */ has('subscribe')),
}

/**
 * A store in Redis or Valkey, for all processes that share one: over your own client, of the package `redis` or
 * `ioredis`, which you connect, configure and close. Atomic by scripts that run in the server; durable as far as its
 * `appendfsync` and its failover are.
 *
 * @throws {CallError} `invalid_argument` where the client is none.
 * @example
 * const redis = await createClient({ url: 'redis://localhost' }).connect() // or new Redis('redis://localhost')
 * const store = redisStore(redis, { subscriber: await redis.duplicate().connect() })
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): Store {
  if (typeof client?.eval !== 'function' || typeof client.get !== 'function')
    throw refusal("redisStore(client) takes a client of the package 'redis' or 'ioredis'", undefined)
  checkOptions('redisStore()', options, rules)
  return new RedisStore(client, options)
}

/** Writes where the condition holds. An entry that lives for no time is over at once. */
const write = `
local how, value, ttl, name = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
if how ~= 'set' then
  local old = redis.call('GET', KEYS[1])
  if how == 'add' and old or how == 'cas' and old ~= ARGV[5] then return 0 end
end
if ttl and ttl <= 0 then
  redis.call('DEL', KEYS[1])
  return 1
end
if ttl then redis.call('SET', KEYS[1], value, 'PX', ttl) else redis.call('SET', KEYS[1], value) end
if name ~= '' then redis.call('ZADD', KEYS[2], 0, name) end
return 1`

const remove = `
local old = redis.call('GET', KEYS[1])
if not old or ARGV[2] and old ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1`

/** Names stand in a sorted set; those whose entry is over are taken out here, where somebody meets them. */
const list = `
local from, to, limit = ARGV[1], '[' .. ARGV[2] .. '\\255', tonumber(ARGV[3])
local root, found = string.sub(KEYS[1], 1, -6), {}
while #found < limit * 2 do
  local asked = math.min(limit - #found / 2, 1000)
  local names = redis.call('ZRANGEBYLEX', KEYS[1], from, to, 'LIMIT', 0, asked)
  if #names == 0 then break end
  local keys = {}
  for i, name in ipairs(names) do keys[i] = root .. name end
  for i, value in ipairs(redis.call('MGET', unpack(keys))) do
    if value then
      found[#found + 1] = names[i]
      found[#found + 1] = value
    else
      redis.call('ZREM', KEYS[1], names[i])
    end
  end
  if #names < asked then break end
  from = '(' .. names[#names]
end
return found`

type How = 'set' | 'add' | 'cas'

class RedisStore implements Store {
  readonly traits: StoreTraits = { isAtomic: true, isShared: true, isDurable: true }
  readonly listen: Store['listen']
  readonly #client: RedisClient
  readonly #prefix: string

  constructor(client: RedisClient, { prefix = '{polywire}:', subscriber }: RedisStoreOptions) {
    this.#client = client
    this.#prefix = prefix
    if (subscriber) this.listen = listenBy(subscriber, (topic) => this.#channel(topic))
  }

  async get(key: string): Promise<string | undefined> {
    const value = await this.#client.get(this.#prefix + key)
    return value === null || value === undefined ? undefined : String(value)
  }

  set(key: string, value: string, options?: StoreWrite): Promise<boolean> {
    return this.#write('set', key, value, options)
  }

  add(key: string, value: string, options?: StoreWrite): Promise<boolean> {
    return this.#write('add', key, value, options)
  }

  compareAndSet(key: string, expected: string, next: string, options?: StoreWrite): Promise<boolean> {
    return this.#write('cas', key, next, options, expected)
  }

  async delete(key: string, { ifValue }: { readonly ifValue?: string | undefined } = {}): Promise<boolean> {
    const condition = ifValue === undefined ? [] : [ifValue]
    return (await this.#run(remove, [key, 'index'], key, ...condition)) === 1
  }

  async list(prefix: string, { after, limit = 100 }: StorePage = {}): Promise<readonly StoreEntry[]> {
    const from = after?.startsWith(prefix) ? `(${after}` : `[${prefix}`
    const flat = (await this.#run(list, ['index'], from, prefix, String(limit))) as unknown[]
    const found: StoreEntry[] = []
    for (let at = 0; at < flat.length; at += 2) found.push({ key: String(flat[at]), value: String(flat[at + 1]) })
    return found
  }

  tell(topic: string, words: string): Promise<unknown> {
    return this.#client.publish(this.#channel(topic), words)
  }

  async #write(how: How, key: string, value: string, options: StoreWrite = {}, expected = ''): Promise<boolean> {
    const { ttlMs = Number.POSITIVE_INFINITY, isListed } = options
    const ttl = ttlMs === Number.POSITIVE_INFINITY ? '' : String(Math.ceil(ttlMs))
    return (await this.#run(write, [key, 'index'], how, value, ttl, isListed ? key : '', expected)) === 1
  }

  /** Each library has its own spelling of one command. */
  #run(script: string, names: readonly string[], ...values: readonly string[]): Promise<unknown> {
    const keys = names.map((name) => this.#prefix + name)
    return isIoRedis(this.#client)
      ? this.#client.eval(script, keys.length, ...keys, ...values)
      : this.#client.eval(script, { keys, arguments: values })
  }

  #channel(topic: string): string {
    return `${this.#prefix}topic/${topic}`
  }
}

/** `ioredis` says its state by a word, in a cluster too; `redis` by flags. */
function isIoRedis(client: object): boolean {
  return typeof (client as { readonly status?: unknown }).status === 'string'
}

interface Emitter {
  on(event: 'message', listener: (channel: string, message: string) => void): unknown
}

/** One subscription of the server for all who listen to a topic here. */
function listenBy(subscriber: RedisSubscriber, channelOf: (topic: string) => string): Store['listen'] {
  const listeners = new Listeners()
  const hasEvents = isIoRedis(subscriber)
  let isBegun = false
  const begin = (): void => {
    isBegun = true
    ;(subscriber as unknown as Emitter).on('message', (channel, message) => listeners.tell(channel, message))
  }
  return (topic, listener) => {
    const channel = channelOf(topic)
    if (hasEvents && !isBegun) begin()
    return listeners.add(channel, listener, (isHeard) => {
      const hear = (message: string): void => listeners.tell(channel, message)
      const asked = !isHeard
        ? subscriber.unsubscribe(channel)
        : hasEvents
          ? subscriber.subscribe(channel)
          : subscriber.subscribe(channel, hear)
      // What is told is a hint; whoever does not hear it reads the entry later.
      asked.catch(() => {})
    })
  }
}
