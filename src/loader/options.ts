import type { Call } from '../core/call/call.ts'
import type { Code } from '../core/errors/code.ts'

/** What an item is asked for by. */
export type ItemKey = string | number | bigint

/** How one operation for many items becomes one for each. */
export interface BatchedOptions<In, Out, Item, Key extends ItemKey> {
  /** The input that asks for these items; no key stands in it twice. */
  readonly input: (keys: readonly Key[]) => In
  /** The items in an answer. @defaultValue the answer is the list */
  readonly items?: ((output: Out) => readonly Item[]) | undefined
  /** The key of an item: the name of a member, or a function. Keys are compared as text. */
  readonly by: (keyof Item & string) | ((item: Item) => ItemKey)
  /** Keys in one request. @defaultValue 100 */
  readonly max?: number | undefined
  /** How long calls are gathered; ms. @defaultValue until all that is ready has run */
  readonly delayMs?: number | undefined
  /** What is wrong with an item that stands for an error; undefined where it is fine. @defaultValue all are fine */
  readonly errorOf?: ((item: Item) => { readonly code: Code; readonly reason?: string } | undefined) | undefined
  /** The object for whose life items are kept, such as the request that is answered; undefined: not at all. @defaultValue nothing is kept */
  readonly cacheBy?: ((call: Pick<Call, 'context' | 'options'>) => object | undefined) | undefined
}
