import type { OperationInfo } from '../../src/core/call/operation.ts'
import type { UrlPattern } from './pattern.ts'
import { HttpHandler } from './peer-msw.ts'
import type { MockContext, MockOptions, MockReply } from './types.ts'

/** The resolver of any operation. */
export type AnyResolver = (context: any) => unknown

/** Whether a request is a call of the operation: the names of its path. */
export type Asks = (
  request: Request,
) => Record<string, string> | undefined | Promise<Record<string, string> | undefined>

/** A request by its URL and method. */
export const byUrl =
  (method: string, { match }: UrlPattern): Asks =>
  (request) =>
    request.method === method ? match(new URL(request.url)) : undefined

/** A handler of msw over HTTP, named as the operation in its log. */
export function httpHandler(
  { name }: OperationInfo,
  asks: Asks,
  answer: (request: Request, params: Record<string, string>) => Promise<Response>,
  { once = false }: MockOptions,
): HttpHandler {
  const handler = new HttpHandler(
    /.+/,
    async ({ request }) => {
      const params = await asks(request)
      return { matches: params !== undefined, params: params ?? {} }
    },
    ({ request, params }) => answer(request, params as Record<string, string>),
    { once },
  )
  handler.info.header = name
  return handler
}

/** What may be said of an answer before there is one. */
class Reply implements MockReply {
  status = 0
  readonly headers = new Headers()
  readonly trailers = new Headers()
}

/** What every handler is given. */
export function contextOf(
  request: Request,
  parts: Pick<MockContext<unknown>, 'input'> & Partial<MockContext<unknown>>,
): MockContext<any> {
  return { params: {}, query: {}, body: undefined, request, signal: request.signal, reply: new Reply(), ...parts }
}
