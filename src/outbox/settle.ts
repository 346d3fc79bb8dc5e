import type { Unary } from '../core/call/call-types.ts'
import { type Operation, type OperationInfo, operationInfo } from '../core/call/operation.ts'
import { checkOptions, notNegative } from '../core/options.ts'

/** What is known of the entry that is asked about. */
export interface SettleFacts<In> {
  readonly input: In
  /** The idempotency key under which it was sent. */
  readonly key: string
}

/** How the outcome of a call is found out; made by {@link settledBy}. */
export interface Settle<In, Out> {
  readonly read: OperationInfo
  readonly input: (facts: SettleFacts<In>) => unknown
  readonly found: (reply: any, facts: SettleFacts<In>) => Out | undefined
  readonly absentAfterMs: number
}

/** How long an answer of "not there" may be wrong. */
export interface SettledByOptions {
  /**
   * A promise about the server: the longest time from the moment a request leaves until its effect can be read. Proxies
   * that queue, and replicas that lag, belong to it. No client can check it; where it is too short, an order is made twice; ms.
   *
   * @defaultValue 60_000
   */
  readonly absentAfterMs?: number | undefined
}

/**
 * Says how to ask a server whether a call was carried out, where it honours no idempotency keys.
 *
 * @param read - an operation that changes nothing.
 * @param input - what it is called with.
 * @param found - the reply of the call as the read shows it; undefined where it is not there. `not_found` means the same.
 * @throws {TypeError} where `read` is no unary operation.
 * @example
 * settledBy(get('/orders', { query: type<{ reference: string }>(), output: type<Order[]>() }),
 *   ({ key }) => ({ reference: key }), (orders) => orders[0])
 */
export function settledBy<In, Out, SIn, SOut>(
  read: Operation<any, Unary<SIn, SOut>>,
  input: (facts: SettleFacts<In>) => SIn,
  found: (reply: SOut, facts: SettleFacts<In>) => Out | undefined,
  options: SettledByOptions = {},
): Settle<In, Out> {
  const info = operationInfo(read)
  if (info?.kind !== 'unary' || info.durable)
    throw new TypeError('settledBy(read, …): read is a plain operation with one message each way, such as get()')
  if (typeof input !== 'function' || typeof found !== 'function')
    throw new TypeError('settledBy(read, input, found) takes two functions')
  checkOptions('settledBy()', options, { absentAfterMs: notNegative })
  return { read: info, input, found, absentAfterMs: options.absentAfterMs ?? 60_000 }
}
