import type { Call } from '../call/call.ts'
import type { Next } from '../call/interceptor.ts'
import type { StreamMachinery } from '../call/operation.ts'
import type { Plan } from '../call/plan.ts'
import type { Reply } from '../call/reply.ts'
import type { Scope } from '../call/scope.ts'
import { openByPolicy } from '../resume/opening.ts'
import type { ResumeOptions } from '../resume/options.ts'
import { ResumingStream } from '../resume/resume-stream.ts'
import type { SendQueue } from '../send-queue/send-queue.ts'
import { pageLife } from '../time/page-life.ts'
import { StreamHandle } from './handle.ts'

/** What streams need of the core: operations that stream carry it, so that a program without streams is without it. */
export interface Streaming extends StreamMachinery {
  /** @param prepare - makes the call when the stream is opened. */
  handle(
    plan: Plan,
    scope: Scope,
    prepare: (sendQueue: SendQueue | undefined) => Call | Promise<Call>,
  ): StreamHandle<unknown>
  /** Opens a stream by its own policy, and again where it can be resumed. */
  resume(call: Call, next: Next, options: ResumeOptions): Promise<Reply>
  /** Opens it where another operation's stream goes on here. @defaultValue by the chain of its transport */
  readonly open?: Next
  /** Opens one attempt by several requests, each through the rest of the chain. @defaultValue one request */
  readonly attempt?: (call: Call, next: Next) => Promise<Reply>
  /** It declares `continueWith`. */
  readonly isContinued?: boolean
}

/** What streams need that only receive. */
export const receiving: Streaming = {
  handle: (plan, scope, prepare) => new StreamHandle(plan, scope, () => prepare(undefined)),
  resume(call, next, options) {
    const { isResumable, resume } = call.operation
    const first = opensFirst(call, next, options)
    return isResumable || resume ? new ResumingStream(call, next, options, pageLife(), first).open() : first(call)
  },
}

/** What opens a stream for the first time: the chain, or a policy of its own in front of it. */
export function opensFirst(call: Call, next: Next, options: ResumeOptions): Next {
  const policy = call.options.opening ?? call.operation.opening ?? options.opening
  const timeoutMs = call.options.timeoutMs ?? options.timeoutMs ?? 30_000
  return policy ? (each) => openByPolicy(each, next, policy, timeoutMs, pageLife()) : next
}
