import type { CallOptions } from '../call/call-options.ts'
import type { ServerStream, Unary } from '../call/call-types.ts'
import { type Operation, type OperationInfo, operationInfo } from '../call/operation.ts'
import type { Services } from '../call/scope.ts'
import { guard } from '../guard.ts'
import type { RunFacts } from './types.ts'

/** What `watchWith()` makes: `V` is the transport that it needs. */
export interface Watch<V extends string = string> {
  readonly via: V
  readonly operation: OperationInfo
  /** Opens the stream for one who waits; gives what closes it, or undefined where this run has none. */
  open(watcher: Watcher): (() => void) | undefined
}

/** Whoever waits for a run that a stream tells of. */
export interface Watcher {
  readonly run: RunFacts
  /** Whose run it is. */
  readonly parts: { readonly info: OperationInfo; readonly services: Services }
  readonly options: CallOptions
  /** @param read - gives the status document, or throws. */
  onMessage(read: () => unknown): void
  /** The stream is open, or gone: what happens meanwhile stands in no message. */
  onTurn(isWatching: boolean): void
}

/** What `cancelWith()` makes: `V` is the transport that it needs. */
export interface Cancel<V extends string = string> {
  readonly via: V
  readonly operation: OperationInfo
  /** What the operation is called with. @param info - whose run it is: named where the user's function throws. */
  input(run: RunFacts, info: OperationInfo): unknown
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
export function watchWith(
  operation: unknown,
  input: (run: RunFacts) => unknown,
  status: (message: any) => unknown,
): Watch<any> {
  const info = operationInfo(operation)
  const refuse = wrongBy('watchWith', info)
  if (info?.kind !== 'server_stream') return refuse('it takes a stream, such as events() makes')
  if (typeof input !== 'function') return refuse('the second argument is a function: ({ id }) => ({ id })')
  if (typeof status !== 'function') return refuse('the third argument is a function of a message: ({ data }) => data')
  const open: Watch['open'] = ({ run, parts, options, onMessage, onTurn }) => {
    const given = guard('the input function of watchWith()', () => input(run), { operation: parts.info })
    if (given === undefined) return undefined
    const call = parts.services.callable?.(info) as unknown as ServerStream<any, unknown>
    const stream = call(given, options)
    const gone = (): void => onTurn(false)
    stream.opened.then(
      () => onTurn(true),
      () => undefined,
    )
    return stream.subscribe({ next: (message) => onMessage(() => status(message)), error: gone, end: gone })
  }
  return { via: info.via, operation: info, open }
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
export function cancelWith(operation: unknown, input: (run: RunFacts) => unknown): Cancel<any> {
  const info = operationInfo(operation)
  const refuse = wrongBy('cancelWith', info)
  if (info?.kind !== 'unary') return refuse('it takes an operation with one message each way, such as del() makes')
  if (typeof input !== 'function') return refuse('the second argument is a function: ({ id }) => ({ id })')
  return {
    via: info.via,
    operation: info,
    input: (run, of) => guard('the input function of cancelWith()', () => input(run), { operation: of }),
  }
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
