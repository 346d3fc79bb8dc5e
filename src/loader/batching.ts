import type { Peer } from '../../transports/shared/peer.ts'
import type { Call } from '../core/call/call.ts'
import type { Unary, UnaryResult } from '../core/call/call-types.ts'
import { placeOf } from '../core/call/interceptor.ts'
import type { OperationInfo, RouteMachinery } from '../core/call/operation.ts'
import type { Plan } from '../core/call/plan.ts'
import type { Reply } from '../core/call/reply.ts'
import type { Services } from '../core/call/scope.ts'
import { CallError, isAnyCallError } from '../core/errors/error.ts'
import { refusal } from '../core/errors/refusal.ts'
import { decide } from '../core/guard.ts'
import { perClient } from '../core/policies/per-client.ts'
import { copyOf, numberOf, ownError, partitionOf } from '../core/policies/sharing.ts'
import { bounded } from '../core/time/bounded.ts'
import type { BatchedOptions, ItemKey } from './options.ts'

type Library = typeof import('./peer-dataloader.ts')
type AnyBatched = BatchedOptions<any, any, any, any>

/** One call for one item. */
interface Asked {
  readonly key: ItemKey
  readonly call: Call
}

/** An item, and the answer that it stood in. */
interface Found {
  readonly item: unknown
  readonly result: UnaryResult<unknown>
}

type Loader = InstanceType<Library['DataLoader']>

/** What `retry` calls in the place of an attempt. */
export class Batching implements RouteMachinery {
  readonly #info: OperationInfo
  readonly #options: AnyBatched
  readonly #library: Peer<Library>
  readonly #loaders = perClient(() => new Map<string, Loader>())
  readonly #cached = new WeakMap<object, Map<string, Loader>>()

  constructor(info: OperationInfo, options: AnyBatched, library: Peer<Library>) {
    this.#info = info
    this.#options = options
    this.#library = library
  }

  attach(services: Services): void {
    const plan = services.planOf?.(this.#info) as Plan | undefined
    if (!plan || placeOf('retry', plan.route.interceptors) >= 0) return
    const message = 'batched() sits in retry(), which the interceptors of this client lack'
    throw new CallError({ code: 'failed_precondition', message }, { operation: this.#info })
  }

  async begin(call: Call): Promise<Reply> {
    const { scope } = call
    scope.root.attempts = 1
    try {
      const { item, result } = await this.#load({ key: call.input as ItemKey, call })
      const { status, headers, trailers } = result
      scope.root.attempts = result.attempts
      return { kind: 'unary', message: item, status, headers, trailers }
    } catch (error) {
      throw isAnyCallError(error) && !scope.isOver ? ownError(error, call) : error
    }
  }

  async #load(asked: Asked): Promise<Found> {
    const { call } = asked
    const { scope } = call
    const library = await this.#library.get(call)
    const partition = await partitionOf(call)
    // Whoever shares with nobody is asked for alone.
    if (partition === undefined) return this.#askAlone(asked)
    const { cacheBy } = this.#options
    const owner = cacheBy && decide('batched({ cacheBy })', () => cacheBy(call), call)
    if (owner && typeof owner !== 'object') throw refusal('batched({ cacheBy }) gives an object, or undefined', call)
    const loaders = owner ? this.#loadersOf(owner) : this.#loaders(scope.services)
    // A scope may be the same in several clients.
    const name = owner ? `${numberOf(scope.services)} ${partition}` : partition
    let loader = loaders.get(name)
    if (!loader) {
      const forget = owner ? undefined : () => loaders.delete(name)
      loaders.set(name, (loader = this.#makeLoader(library, owner !== undefined, scope.services, forget)))
    }
    const found = loader
    for (;;) {
      try {
        return await bounded<Found>(scope, () => found.load(asked) as Promise<Found>)
      } catch (error) {
        found.clear(asked)
        // The others that had asked for it are gone, and their request with them.
        if (error !== left || scope.isOver) throw error
      }
    }
  }

  #loadersOf(owner: object): Map<string, Loader> {
    let loaders = this.#cached.get(owner)
    if (!loaders) this.#cached.set(owner, (loaders = new Map()))
    return loaders
  }

  /** @param forget - where nothing is kept, a loader is made for each batch, so that identities leave nothing behind. */
  #makeLoader({ DataLoader }: Library, isCached: boolean, { clock }: Services, forget?: () => void): Loader {
    const { max = 100, delayMs } = this.#options
    const loader = new DataLoader<any, unknown, string>(
      (asked: readonly Asked[]) => {
        forget?.()
        return this.#ask(asked)
      },
      {
        cache: isCached,
        cacheKeyFn: ({ key }) => String(key),
        ...(max !== Number.POSITIVE_INFINITY && { maxBatchSize: max }),
        ...(delayMs !== undefined && { batchScheduleFn: (run: () => void) => void clock.setTimer(run, delayMs) }),
      },
    )
    return loader as Loader
  }

  async #askAlone(asked: Asked): Promise<Found> {
    const [found] = await this.#ask([asked])
    if (found instanceof Error) throw found
    return found as Found
  }

  /** One request for all that is asked. */
  async #ask(asked: readonly Asked[]): Promise<(Found | Error)[]> {
    const waiting = asked.filter(({ call }) => !call.scope.isOver)
    const [first] = waiting
    if (!first) return asked.map(() => left)
    const { clock, callable } = first.call.scope.services
    const keys = [...new Map(waiting.map(({ key }) => [String(key), key])).values()]
    const input: unknown = decide('batched({ input })', () => this.#options.input(keys), first.call)
    const { controller, forget } = abortWithLast(waiting)
    const { context, headers } = first.call.options
    const timeoutMs = Math.max(...waiting.map(({ call }) => call.deadline)) - clock.now()
    const operation = callable?.(this.#info) as unknown as Unary<any, unknown>
    // It may be sent by now; how far it is, only its own call knows.
    for (const { call } of waiting) call.scope.mark('connect', 'maybe')
    try {
      const result = await operation.reply(input, { context, headers, timeoutMs, signal: controller.signal })
      return this.#sort(asked, result)
    } finally {
      forget()
    }
  }

  /** Each gets its item, or its error. */
  #sort(asked: readonly Asked[], result: UnaryResult<unknown>): (Found | Error)[] {
    const { items = (output: unknown) => output as readonly unknown[], by, errorOf } = this.#options
    const keyOf = typeof by === 'function' ? by : (item: Record<string, unknown>) => item[by]
    const origin = { operation: this.#info }
    const list = decide('batched({ items })', () => items(result.message) as readonly unknown[], origin, answered)
    if (!Array.isArray(list)) throw this.#wrong('the answer is no list: items says where it stands', asked[0])
    const found = new Map(
      list.flatMap((item) => {
        const isItem = item !== null && item !== undefined
        return isItem ? [[String(decide('batched({ by })', () => keyOf(item), origin, answered)), item] as const] : []
      }),
    )
    const given = new Set<string>()
    return asked.map((each) => {
      const key = String(each.key)
      const item = found.get(key)
      if (item === undefined) return this.#missing(each.call)
      const wrong = errorOf && decide('batched({ errorOf })', () => errorOf(item), origin, answered)
      if (wrong) return this.#failed(wrong, each.call)
      // Two who asked for one item share no object.
      const own = given.has(key) ? copyOf(item) : item
      given.add(key)
      return { item: own, result }
    })
  }

  #missing(call: Call): CallError {
    const message = 'the answer holds no item of this key'
    return new CallError({ code: 'not_found', message, phase: 'body', sent: 'yes' }, call)
  }

  #failed({ code, reason }: NonNullable<ReturnType<NonNullable<AnyBatched['errorOf']>>>, call: Call): CallError {
    const message = 'the server says that this item failed: see reason'
    return new CallError({ code, message, phase: 'body', sent: 'yes', ...(reason !== undefined && { reason }) }, call)
  }

  #wrong(message: string, asked: Asked | undefined): CallError {
    return new CallError({ code: 'internal', message, phase: 'body', sent: 'yes' }, asked?.call)
  }
}

/** Of what fails while the answer is read. */
const answered = { phase: 'body', sent: 'yes' } as const
/** Nobody who waits for this batch is left. */
const left = new Error('nobody waits for it')

/** The request ends when the last one who waits for it has left. */
function abortWithLast(waiting: readonly Asked[]): {
  readonly controller: AbortController
  readonly forget: () => void
} {
  const controller = new AbortController()
  let count = waiting.length
  const listeners = waiting.map(({ call }) => call.scope.onEnd(() => --count === 0 && controller.abort(left)))
  const forget = (): void => {
    for (const each of listeners) each()
  }
  return { controller, forget }
}
