import type { Call } from '../call/call.ts'
import type { Next } from '../call/interceptor.ts'
import { defineOperation, type Operation, type OperationInfo } from '../call/operation.ts'
import type { Plan } from '../call/plan.ts'
import type { Reply } from '../call/reply.ts'
import type { Scope } from '../call/scope.ts'
import { outboxErrors } from '../outbox/errors.ts'
import { Outbox } from '../outbox/outbox.ts'
import { type ResumeOptions, ResumingStream } from '../resume/resume-stream.ts'
import { StreamHandle } from './handle.ts'

/** What streams need of the core: operations that stream carry it, so that a program without streams is without it. */
export interface Streaming {
  /** @param prepare - makes the call when the stream is opened. */
  handle(plan: Plan, scope: Scope, prepare: (outbox: Outbox | undefined) => Promise<Call>): StreamHandle<unknown>
  resume(call: Call, next: Next, options: ResumeOptions): Promise<Reply>
}

/** How long a closing duplex may still flush; ms. */
const lingerMs = 1000

const streaming: Streaming = {
  handle({ info, route, convert, outgoing }, scope, prepare) {
    const outbox =
      info.kind === 'bidi_stream'
        ? new Outbox(outboxErrors({ operation: info }), info.outbox, scope.services)
        : undefined
    const { chain } = route
    return new StreamHandle({ scope, outbox, lingerMs, chain, prepare: () => prepare(outbox), convert, outgoing })
  },
  resume: (call, next, options) => new ResumingStream(call, next, options).open(),
}

/** Makes an operation that streams of its run-time half; unary ones are made by {@link defineOperation}. */
export function defineStream<O extends Operation<any, any>>(info: OperationInfo): O {
  return defineOperation<O>({ ...info, streaming })
}
