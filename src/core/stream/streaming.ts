import type { Call } from '../call/call.ts'
import type { Next } from '../call/interceptor.ts'
import { defineOperation, type Operation, type OperationInfo, type StreamMachinery } from '../call/operation.ts'
import type { Plan } from '../call/plan.ts'
import type { Reply } from '../call/reply.ts'
import type { Scope } from '../call/scope.ts'
import type { Outbox } from '../outbox/outbox.ts'
import { type ResumeOptions, ResumingStream } from '../resume/resume-stream.ts'
import { StreamHandle } from './handle.ts'

/** What streams need of the core: operations that stream carry it, so that a program without streams is without it. */
export interface Streaming extends StreamMachinery {
  /** @param prepare - makes the call when the stream is opened. */
  handle(plan: Plan, scope: Scope, prepare: (outbox: Outbox | undefined) => Call | Promise<Call>): StreamHandle<unknown>
  resume(call: Call, next: Next, options: ResumeOptions): Promise<Reply>
}

/** What streams need that only receive. */
export const receiving: Streaming = {
  handle: (plan, scope, prepare) => new StreamHandle(plan, scope, () => prepare(undefined)),
  resume: (call, next, options) => new ResumingStream(call, next, options).open(),
}

/** Makes an operation of a server stream: without the send queue that `defineStream` brings along. */
export function defineServerStream<O extends Operation<any, any>>(info: OperationInfo): O {
  return defineOperation<O>({ ...info, streaming: receiving })
}
