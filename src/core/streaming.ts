import type { Call } from './call.ts'
import type { ErrorOrigin } from './error.ts'
import type { Next } from './interceptor.ts'
import { defineOperation, type Operation, type OperationInfo } from './operation.ts'
import { Outbox, type OutboxOptions } from './outbox.ts'
import { outboxErrors } from './outbox-errors.ts'
import type { Reply } from './reply.ts'
import { type ResumeOptions, ResumingStream } from './resume-stream.ts'
import type { Services } from './services.ts'
import { StreamHandle, type StreamStart } from './stream-handle.ts'

/** What streams need of the core: operations that stream carry it, so that a program without streams is without it. */
export interface Streaming {
  handle(start: StreamStart): StreamHandle<unknown>
  outbox(origin: ErrorOrigin, options: OutboxOptions | undefined, services: Services): Outbox
  resume(call: Call, next: Next, options: ResumeOptions): Promise<Reply>
}

const streaming: Streaming = {
  handle: (start) => new StreamHandle(start),
  outbox: (origin, options, services) => new Outbox(outboxErrors(origin), options, services),
  resume: (call, next, options) => new ResumingStream(call, next, options).open(),
}

/** Makes an operation that streams of its run-time half; unary ones are made by {@link defineOperation}. */
export function defineStream<O extends Operation<any, any>>(info: OperationInfo): O {
  return defineOperation<O>({ ...info, streaming })
}
