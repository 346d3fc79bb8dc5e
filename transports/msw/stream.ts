import { isNetworkError } from './error.ts'

/** What the messages of one stream are taken from. */
export type Messages = AsyncIterator<unknown> | Iterator<unknown>

/** @throws {TypeError} where a handler gives no stream. */
export function iteratorOf(messages: unknown, name: string): Messages {
  const { [Symbol.asyncIterator]: many, [Symbol.iterator]: few } = Object(messages) as Partial<
    AsyncIterable<unknown> & Iterable<unknown>
  >
  const iterator = many?.call(messages) ?? (typeof messages === 'string' ? undefined : few?.call(messages))
  if (iterator) return iterator
  throw new TypeError(`the handler of ${name} gives what can be iterated, as an async generator does, or a Response`)
}

/** Leaves what a handler gives before its end. What its own clean-up throws is told to nobody: it is over. */
export async function leave(messages: Messages | undefined): Promise<void> {
  try {
    await messages?.return?.()
  } catch {}
}

/** A turn of the event loop, whatever has become of the timers: a handler that never waits leaves room for the others. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(undefined)
  })
}

/**
 * Where a stream is on its way to another thread, as to a service worker, an error overtakes what was written: it is let
 * go ahead.
 */
export async function delivered(): Promise<void> {
  for (let turns = 0; turns < 20; turns++) await turn()
}

/** How a stream is written. */
export interface Writer {
  readonly write: (message: unknown) => string
  /** What stands behind the last message. */
  readonly end?: string
  /** What an error becomes; without it, and for a network error, the connection breaks. */
  readonly fail?: (error: unknown) => string | undefined
}

/**
 * The body of a streamed answer: a message is asked for when it is read, and a caller who leaves ends the handler.
 *
 * What the handler throws within its first turn fails the whole, since nothing has been answered by then.
 */
export async function bodyOf(
  messages: Messages,
  { write, end = '', fail }: Writer,
  left: AbortController,
): Promise<BodyInit> {
  const { signal } = left
  const encoder = new TextEncoder()
  let next: Promise<IteratorResult<unknown>> | undefined = Promise.resolve(messages.next())
  await Promise.race([next, turn()])
  return new ReadableStream<Uint8Array>({
    start(controller) {
      openHead(controller)
      const onAbort = () => {
        void leave(messages)
        try {
          controller.error(signal.reason)
        } catch {
          // It is over.
        }
      }
      if (signal.aborted) onAbort()
      else signal.addEventListener('abort', onAbort, { once: true })
    },
    async pull(controller) {
      try {
        const { done, value } = await (next ?? messages.next())
        next = undefined
        await turn()
        const text = done ? end : write(value)
        if (text !== '') controller.enqueue(encoder.encode(text))
        if (done) controller.close()
      } catch (error) {
        if (signal.aborted) return
        const text = isNetworkError(error) ? undefined : fail?.(error)
        if (text === undefined) {
          await delivered()
          controller.error(error)
          return
        }
        controller.enqueue(encoder.encode(text))
        controller.close()
      }
    },
    cancel: (reason) => left.abort(reason),
  })
}

/** Aborted where the request is, or where nobody reads the answer: in a browser that is all that is told. */
export function leavingWith(signal: AbortSignal): AbortController {
  const left = new AbortController()
  const leave = () => left.abort(signal.reason)
  if (signal.aborted) leave()
  else signal.addEventListener('abort', leave, { once: true })
  return left
}

/**
 * An answer whose body is a stream.
 *
 * In Node, msw writes answers as HTTP/1.1: unless they are chunked, a broken connection would look like the end of the body. In
 * browsers it copies each for its log: of a stream the copy has no body, since one that nobody reads keeps the other from being left.
 */
export function streamResponse(body: BodyInit, init: { readonly status: number; readonly headers: Headers }): Response {
  const { status, headers } = init
  if (!headers.has('content-length')) headers.set('transfer-encoding', 'chunked')
  const response = new Response(body, init)
  return Object.defineProperty(response, 'clone', { value: () => new Response(null, { status, headers }) })
}

/** In Node, msw sends the head of an answer together with the first bytes of its body: none will do. */
export function openHead(controller: ReadableStreamDefaultController<Uint8Array>): void {
  controller.enqueue(new Uint8Array())
}
