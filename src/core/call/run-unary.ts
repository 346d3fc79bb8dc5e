import { addCaller, CallError, isAnyCallError } from '../errors/error.ts'
import { bounded, reasonOf } from '../time/bounded.ts'
import type { Call } from './call.ts'
import { absoluteDeadline } from './call-options.ts'
import type { UnaryResult } from './call-types.ts'
import type { Next } from './interceptor.ts'
import type { Plan } from './plan.ts'
import { discardReply, type Reply, type UnaryReply } from './reply.ts'
import type { Scope } from './scope.ts'
import type { Sealed } from './snapshot.ts'
import type { Transport } from './transport.ts'

/** What a unary call is started with. */
export interface UnaryStart {
  readonly plan: Plan
  readonly call: Call
  /** Bounds the validation of the input, which happens before the chain; ms. */
  readonly timeoutMs: number | undefined
  /** Status, headers and attempts are wanted beside the message. */
  readonly isWhole: boolean
}

const discarding = { discard: discardReply }

/**
 * Runs one unary call: its input, the chain, its output; ends its scope once, whatever ended it.
 *
 * An abort or a deadline settles the caller at once, even if an interceptor or a schema ignores it; a reply that comes
 * later is closed on arrival. The scope ends when the message is validated and converted, so that these are bounded too.
 */
export async function runUnary({ plan, call: begun, timeoutMs, isWhole }: UnaryStart): Promise<unknown> {
  const { scope } = begun
  let call = begun
  try {
    if (call.input instanceof Promise) call = await inputWithin(call, call.input, timeoutMs)
    const replied = bounded<Reply, Call>(scope, plan.route.chain, discarding, call)
    // What is not written by now is still the caller's to change: it is kept as it was passed.
    // Data that has that name, too, has no function there.
    const seal = (call.input as Partial<Sealed> | undefined)?.['~seal']
    if (typeof seal === 'function') seal.call(call.input)
    const reply = await replied
    if (reply.kind !== 'unary') {
      discardReply(reply)
      const message = 'a stream came back for a unary call'
      throw new CallError({ code: 'internal', message, phase: 'body', sent: 'yes' }, call)
    }
    // A 304 says that the caller's own copy still holds: there is no message to check or to convert.
    const message = plan.convert && reply.status !== 304 ? await converted(plan.convert, reply, call) : reply.message
    // A body that is still to be read holds the call: deadline and abort reach it.
    if (reply.finished)
      reply.finished.then(
        () => scope.end(),
        () => scope.end(),
      )
    else scope.end()
    return isWhole ? toResult(message, reply, scope) : message
  } catch (error) {
    const known = toKnownError(error, call)
    scope.end()
    throw addCaller(known)
  }
}

/** Every failure that leaves the facade is a CallError or the reason of an abort. */
export function toKnownError(error: unknown, call: Call): unknown {
  if (isAnyCallError(error) || call.scope.isAborted) return error
  const message = 'an unexpected failure: see cause, and report it'
  return new CallError({ code: 'unknown', message, cause: error }, call)
}

/**
 * The call with its input, which is validated asynchronously: for as long as the call may last. What is left then is
 * its deadline.
 */
export async function inputWithin(call: Call, input: Promise<unknown>, timeoutMs = 30_000): Promise<Call> {
  const { scope, options } = call
  const { clock } = scope.services
  const at = Math.min(clock.now() + (options.timeoutMs ?? timeoutMs), absoluteDeadline(options, clock))
  const expired = (): CallError => {
    const message = 'the deadline passed before the call began; nothing was sent'
    return new CallError({ code: 'deadline_exceeded', message }, call)
  }
  return call.with({ input: await bounded(scope, () => input, { at, expired }), deadline: at })
}

/** Synchronous where the conversion is; else bounded like everything else of the call. */
export function converted(convert: NonNullable<Plan['convert']>, reply: UnaryReply, call: Call): unknown {
  const { scope } = call
  const explain = (error: unknown): never => {
    discardReply(reply)
    // What another call has failed with, and a conversion throws, tells of that call.
    const isOwn = isAnyCallError(error) && error.attempt === 0 && error.operation === call.operation.name
    const { attempts, failures } = scope
    const facts = { status: reply.status, attempt: Math.max(1, attempts), failures: [...failures] }
    throw isOwn ? Object.assign(error, facts) : error
  }
  try {
    const message = convert(reply.message)
    return message instanceof Promise ? bounded(scope, () => message).catch(explain) : message
  } catch (error) {
    return explain(error)
  }
}

function toResult(message: unknown, reply: UnaryReply, scope: Scope): UnaryResult<unknown> {
  const { status, headers, trailers, url, operation, extensions } = reply
  const key = scope.idempotencyKey
  const attempts = Math.max(1, scope.attempts)
  return {
    message,
    status,
    headers,
    trailers,
    url,
    attempts,
    ...(key !== undefined && { idempotencyKey: key }),
    ...(operation && { operation }),
    ...(extensions && { extensions }),
  }
}

/** The end of every chain. Nothing is sent for a call that was over before its turn came. */
export function sendBy(transport: Transport): Next {
  return (call) => {
    const { scope } = call
    if (scope.isOver) return Promise.reject(reasonOf(scope))
    scope.root.sends++
    return transport.send(call)
  }
}
