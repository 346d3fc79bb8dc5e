import { CallError, type ErrorOrigin, isAnyCallError } from '../../src/core/errors/error.ts'
import { type GraphQLRequest, graphqlRequest } from './peers.ts'
import type { DocumentText } from './print.ts'
import type { GraphQLResult } from './result.ts'

type Init = RequestInit & { readonly url: string }

/** One request, and the two ends that are ours. */
export interface Execution {
  /** Absolute. */
  readonly url: string
  readonly document: DocumentText
  /** What the body holds beside the document: `variables`, `extensions`; with a comma in front, empty where there is none. */
  readonly rest: () => string
  /** Sends the body; gives the text of a GraphQL response, rejects for any other. */
  readonly post: (url: string, body: string) => Promise<string>
  /** Reads that text. */
  readonly read: (text: string) => GraphQLResult
  readonly origin: ErrorOrigin
}

/**
 * Executes a request with graphql-request: prepared text, POST only, errors beside data, all I/O through `post`.
 *
 * Its own ways are shut where they are wrong: it parses nothing (`excludeOperationName`), writes no body (the middleware
 * does), sees only responses that are GraphQL, and so never builds the error that quotes variables and response.
 *
 * @throws {CallError} `failed_precondition` when graphql-request is not installed; else what `post` and `read` throw.
 */
export function execute(execution: Execution): Promise<GraphQLResult> {
  const library = graphqlRequest.get(execution.origin)
  return library instanceof Promise ? library.then((loaded) => run(loaded, execution)) : run(library, execution)
}

/** What graphql-request asks of a response that it is to read as GraphQL; the HTTP status has been judged already. */
const graphqlHeaders = { get: () => 'application/json' }

async function run(
  { GraphQLClient }: GraphQLRequest,
  { url, document, rest, post, read, origin }: Execution,
): Promise<GraphQLResult> {
  let ours: { readonly error: unknown } | undefined
  const fetch = async (_url: URL, { body }: { body: string }) => {
    const text = await post(url, body).catch((error: unknown) => {
      ours = { error }
      throw error
    })
    return { ok: true, status: 200, headers: graphqlHeaders, text: () => text }
  }
  const client = new GraphQLClient(url, {
    errorPolicy: 'all',
    excludeOperationName: true,
    fetch: fetch as never,
    requestMiddleware: (init) => ({ ...(init as Init), body: `${document.head}${rest()}}` }),
    jsonSerializer: { stringify: () => '', parse: read },
  })
  try {
    return (await client.rawRequest({ query: document.text })) as GraphQLResult
  } catch (error) {
    if (ours) throw ours.error
    if (isAnyCallError(error)) throw error
    // Its own errors quote what was sent and received: their text goes nowhere.
    const message = 'graphql-request could not read the response: please report it'
    throw new CallError({ code: 'internal', message, phase: 'body', sent: 'maybe' }, origin)
  }
}
