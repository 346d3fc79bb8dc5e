import type { Call } from '../core/call/call.ts'
import { type IdempotencyOption, idempotencyProfiles } from '../core/call/idempotency.ts'
import {
  type DurableMachinery,
  defineOperation,
  type InputOf,
  type Operation,
  type OperationInfo,
  operationInfo,
} from '../core/call/operation.ts'
import type { Plan } from '../core/call/plan.ts'
import type { Reply } from '../core/call/reply.ts'
import type { Services } from '../core/call/scope.ts'
import { CallError } from '../core/errors/error.ts'
import { aboveZero, callable, checkOptions, count, object, type RulesOf } from '../core/options.ts'
import type { Clock } from '../core/time/clock.ts'
import type { Seen } from './ledger.ts'
import type { DurableOptions, MessageOf } from './types.ts'

/** What a durable operation needs of the outbox of its client. */
export interface Submits {
  submit(call: Call, durable: Durable): Promise<Reply>
  knows(durable: Durable): boolean
}

const day = 86_400_000
/** A key is not sent so shortly before the server may forget it; ms. */
const keyMarginMs = 300_000

/** The run-time half of what `durable` says. */
export class Durable implements DurableMachinery {
  readonly name: string
  /** The operation that is sent. */
  readonly inner: OperationInfo
  readonly options: DurableOptions<any, any>

  constructor(name: string, inner: OperationInfo, options: DurableOptions<any, any>) {
    this.name = name
    this.inner = inner
    this.options = options
  }

  get version(): number {
    return this.options.version ?? 1
  }

  /** How the server takes keys, where it is known to honour them. */
  profileOf(plan: Plan): Exclude<IdempotencyOption, false> | undefined {
    return this.#said(plan) || undefined
  }

  #said({ route }: Plan): IdempotencyOption | undefined {
    return this.inner.idempotency ?? (route.transport as { readonly idempotency?: IdempotencyOption }).idempotency
  }

  /**
   * The header by which a server that honours no keys is told the key all the same, since it is asked about it later:
   * said of the call, for across origins a browser sends no other that nobody has promised to honour.
   */
  keyHeader(plan: Plan, key: string): Readonly<Record<string, string>> | undefined {
    const { inner, options } = this
    const isUnnamed = this.#said(plan) === undefined
    // A request over a socket has a place of its own for it.
    return options.settle && isUnnamed && inner.protocol !== 'websocket' ? { 'idempotency-key': key } : undefined
  }

  /** Whether the server knows what it did under the key, where it has seen it. */
  isKeyYoung(plan: Plan, { record: { keyAt }, bornAt }: Seen, clock: Clock): boolean {
    const profile = this.profileOf(plan)
    if (!profile) return false
    const lifeMs = this.options.keyLifetimeMs ?? idempotencyProfiles[profile].maxAgeMs ?? day
    const leftMs = lifeMs - Math.min(keyMarginMs, lifeMs / 10)
    // The monotonic clock stands still in a sleep.
    return clock.wallNow() < (keyAt as number) + leftMs && clock.now() < bornAt + leftMs
  }

  planOf(plan: object, services: object): Plan {
    const made = plan as Plan
    const { outbox, callable: bind } = services as Services
    const chain =
      outbox === false
        ? (call: Call) => plainReply(call, bind?.(this.inner) as unknown as Bound)
        : (call: Call) => this.#outboxOf(services as Services).submit(call, this)
    return { ...made, route: { ...made.route, chain } }
  }

  attach(services: object): void {
    const { outbox, planOf } = services as Services
    if (outbox === false) return
    planOf?.(this.inner)
    if (!this.#outboxOf(services as Services).knows(this))
      throw unfit(this.inner, `the contract of the outbox lacks the durable operation '${this.name}'`)
  }

  #outboxOf({ outbox }: Services): Submits {
    if (!outbox) throw unfit(this.inner, `createClient({ outbox }) is missing, which the durable '${this.name}' needs`)
    const submits = outbox as unknown as Partial<Submits>
    if (!submits.submit) throw unfit(this.inner, 'createClient({ outbox }) takes what outbox() makes')
    return submits as Submits
  }
}

type Bound = { reply(input: unknown, options: object): Promise<Omit<Extract<Reply, { kind: 'unary' }>, 'kind'>> }

/** `outbox: false`: as if it were a plain one. */
async function plainReply(call: Call, bound: Bound): Promise<Reply> {
  const { input, options, scope } = call
  const { message, status, headers, trailers } = await bound.reply(input, { ...options, signal: scope.signal })
  return { kind: 'unary', message, status, headers, trailers }
}

/** Refused before anything is written or sent. */
export function unfit(operation: OperationInfo, message: string): CallError {
  return new CallError({ code: 'failed_precondition', message: `${message}; nothing was sent` }, { operation })
}

const rules: RulesOf<DurableOptions<unknown, unknown>> = {
  settle: /* @__PURE__ */ object('what settledBy() makes'),
  lane: callable,
  version: count,
  migrate: /* @__PURE__ */ object('an object such as { 1: (old) => … }'),
  keep: callable,
  keyLifetimeMs: aboveZero,
}

/**
 * Makes an operation durable: each call is written down before it is sent, and carried to an end (confirmed, failed, or
 * pending until a person looks) whatever becomes of this process, by the outbox of the client. The call site does not
 * change.
 *
 * @param name - heads its entries: it must outlive releases, and be the operation's own.
 * @param operation - unary, and such that an outcome can be found out: its server honours keys (`idempotency`), or can be
 * asked (`settle`), or sending it twice does what sending it once does.
 * @throws {TypeError} where the operation is none of these.
 * @example
 * durable('place-order', post('/orders', { body: type<NewOrder>(), output: type<Order>(), idempotency: 'stripe' }))
 */
export function durable<V extends string, C extends (...args: any[]) => Promise<any>>(
  name: string,
  operation: Operation<V, C>,
  options: DurableOptions<InputOf<Operation<V, C>>, MessageOf<C>> = {},
): Operation<V | 'outbox', C> {
  const info = operationInfo(operation)
  const refuse = (what: string): never => {
    throw new TypeError(`durable('${name}', …): ${what}`)
  }
  if (typeof name !== 'string' || name === '') throw new TypeError('durable(name, operation): the name is a text')
  if (!info) return refuse('takes an operation made by a builder such as post()')
  if (info.durable) refuse(`is durable already, as '${info.durable.name}'`)
  if (info.failover) refuse('has several routes: what one of them may have done, another one would do again')
  if (info.kind !== 'unary' || info.isOpenEnded || info.makeCallable)
    refuse(`'${info.name}' is no call with one message each way`)
  if (info.paginate) refuse(`'${info.name}' has pages, which are read and not done`)
  checkOptions(`durable('${name}')`, options, rules)
  const { adapted, encodeInput, decodeOutput, ...rest } = info
  return defineOperation<Operation<V | 'outbox', C>>({
    ...rest,
    durable: new Durable(name, info, options),
    ...(options.settle && { others: [options.settle.read] }),
  })
}
