import type { UnaryReply } from '../../../src/core/call/reply.ts'

/** The option under which `ifNoneMatch` brings what a 304 stands for. */
export const renewed: unique symbol = Symbol.for('polywire.renewed') as never

/** Options of a call whose caller has an answer already. */
export interface Remembering {
  /** Makes of a bare 304 the reply with the caller's own copy. */
  readonly [renewed]?: (reply: UnaryReply) => UnaryReply
}
