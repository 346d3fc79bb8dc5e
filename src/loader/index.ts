import { Peer } from '../../transports/shared/peer.ts'
import type { Args, Unary } from '../core/call/call-types.ts'
import { defineOperation, type Operation, operationInfo } from '../core/call/operation.ts'
import { callable, count, either, notNegative, type RulesOf, takes, text, wrongOption } from '../core/options.ts'
import { Batching } from './batching.ts'
import type { BatchedOptions, ItemKey } from './options.ts'

export type { BatchedOptions, ItemKey } from './options.ts'

const rules: RulesOf<BatchedOptions<any, any, any, any>> = {
  input: callable,
  items: callable,
  by: /* @__PURE__ */ either(text, callable),
  max: /* @__PURE__ */ takes('a whole number of 1 or more', count.fits),
  delayMs: notNegative,
  errorOf: callable,
  cacheBy: callable,
}

const dataloader: Peer<typeof import('./peer-dataloader.ts')> = /*#__PURE__*/ new Peer(
  ['loader', 'dataloader', 'dataloader'],
  () => import('./peer-dataloader.ts'),
)

/**
 * Makes an operation for one item of an operation that gives many: calls of one turn become one request, whatever the
 * protocol. Needs `npm install dataloader`.
 *
 * Calls are gathered by client, identity, headers and context. Each keeps its own abort and deadline; the request is a
 * call of its own through the whole chain, and ends with the last who waits. An item that is not in the answer is an error
 * `not_found`. Nothing is cached, but where `cacheBy` names a scope.
 *
 * @throws {TypeError} where the operation is none with one message each way, or an option is not what it takes.
 * @example
 * const getUser = batched(get('/users', { query: type<{ ids: number[] }>(), output: type<User[]>() }), {
 *   input: (ids: readonly number[]) => ({ ids }),
 *   by: 'id',
 *   max: 50,
 * })
 * const [ada, bob] = await Promise.all([client.call(getUser, 1), client.call(getUser, 2)]) // one request
 */
export function batched<V extends string, In, Item, Key extends ItemKey>(
  operation: Operation<V, (...args: Args<In>) => Promise<readonly Item[]>>,
  options: BatchedOptions<NoInfer<In>, readonly NoInfer<Item>[], NoInfer<Item>, Key>,
): Operation<V, Unary<Key, Item>>
export function batched<V extends string, In, Out, Item, Key extends ItemKey>(
  operation: Operation<V, (...args: Args<In>) => Promise<Out>>,
  options: BatchedOptions<NoInfer<In>, NoInfer<Out>, Item, Key> & {
    readonly items: (output: NoInfer<Out>) => readonly Item[]
  },
): Operation<V, Unary<Key, Item>>
export function batched(operation: unknown, options: BatchedOptions<any, any, any, any>): never {
  const info = operationInfo(operation)
  const refuse = (what: string): never => {
    throw new TypeError(`batched(${info ? info.name : 'operation'}, …): ${what}`)
  }
  if (info?.kind !== 'unary') return refuse('it takes an operation with one message each way, such as get() makes')
  const wrong = wrongOption(options, rules)
  if (wrong) return refuse(wrong)
  if (typeof options.input !== 'function')
    return refuse('input takes a function: (keys) => the input that asks for them')
  if (options.by === undefined) return refuse("by takes the name of the key in an item, such as 'id', or a function")
  const { protocol, via, auth, origin } = info
  return defineOperation<Operation<never>>({
    name: `batched ${info.name}`,
    protocol,
    via,
    auth,
    ...(origin !== undefined && { origin }),
    kind: 'unary',
    isIdempotent: true,
    binding: undefined,
    others: [info],
    // In the place of an attempt stands a call of the other operation, which has attempts of its own.
    failover: new Batching(info, options, dataloader),
  }) as never
}
