import type { ServerStream, Unary } from '../call/call-types.ts'
import { type Operation, type OperationInfo, operationInfo } from '../call/operation.ts'
import type { RunFacts } from './types.ts'

/** What `watchWith()` makes: `V` is the transport that it needs. */
export interface Watch<V extends string = string> {
  readonly via: V
  readonly operation: OperationInfo
  readonly input: (run: RunFacts) => unknown
  readonly status: (message: any) => unknown
}

/** What `cancelWith()` makes: `V` is the transport that it needs. */
export interface Cancel<V extends string = string> {
  readonly via: V
  readonly operation: OperationInfo
  readonly input: (run: RunFacts) => unknown
}

/**
 * Says by which stream a server tells of its runs: events, a channel, on whatever transport. While it is open the server
 * is polled at the longest pace alone; where it breaks, polls go on.
 *
 * @param input - what the stream is opened with; undefined says that this run has none.
 * @param status - the status document in a message; undefined says that it holds none.
 * @throws {TypeError} where the operation is no stream.
 * @example
 * const watch = watchWith(events('/jobs/{id}/events', { status: type<Job>() }), ({ id }) => ({ id }), ({ data }) => data)
 */
export function watchWith<V extends string, In, Message>(
  operation: Operation<V, ServerStream<In, Message>>,
  input: (run: RunFacts) => NoInfer<In> | undefined,
  status: (message: NoInfer<Message>) => unknown,
): Watch<V>
export function watchWith(operation: unknown, input: Watch['input'], status: Watch['status']): Watch<any> {
  const info = operationInfo(operation)
  const refuse = wrongBy('watchWith', info)
  if (info?.kind !== 'server_stream') return refuse('it takes a stream, such as events() makes')
  if (typeof input !== 'function') return refuse('the second argument is a function: ({ id }) => ({ id })')
  if (typeof status !== 'function') return refuse('the third argument is a function of a message: ({ data }) => data')
  return { via: info.via, operation: info, input, status }
}

/**
 * Says how a server is told to give a run up: one call of another operation, made by `run.cancel()`.
 *
 * @param input - what the operation is called with.
 * @throws {TypeError} where the operation is none with one message each way.
 * @example
 * const cancel = cancelWith(post('/jobs/{id}/cancel'), ({ id }) => ({ id }))
 */
export function cancelWith<V extends string, In>(
  operation: Operation<V, Unary<In, any>>,
  input: (run: RunFacts) => NoInfer<In>,
): Cancel<V>
export function cancelWith(operation: unknown, input: Cancel['input']): Cancel<any> {
  const info = operationInfo(operation)
  const refuse = wrongBy('cancelWith', info)
  if (info?.kind !== 'unary') return refuse('it takes an operation with one message each way, such as del() makes')
  if (typeof input !== 'function') return refuse('the second argument is a function: ({ id }) => ({ id })')
  return { via: info.via, operation: info, input }
}

function wrongBy(who: string, info: OperationInfo | undefined): (what: string) => never {
  return (what) => {
    throw new TypeError(`${who}(${info ? info.name : 'operation'}, …): ${what}`)
  }
}

/**
 * Where a server calls back when a run is over: what `runCallbacks()` of `polywire/webhooks` makes.
 */
export interface Callbacks {
  /** Told to the server as `callback_url`. */
  readonly url: string
  /**
   * Calls `listener` with each status document that comes for a run, and with what has come already; undefined says that
   * something came, and not what. Returns what ends it.
   */
  subscribe(id: string, listener: (document: unknown) => void): () => void
}
