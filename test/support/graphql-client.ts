import { type CallError, type ClientOptions, createClient, isCallError } from 'polywire'
import { type GraphQLTransportOptions, graphqlTransport } from 'polywire/graphql'
import { expect } from 'vitest'

type Options = Partial<GraphQLTransportOptions> & {
  readonly client?: Partial<Omit<ClientOptions<never>, 'transports'>>
}

/** A client of one GraphQL server whose retries hardly wait; closed by `await using`. */
export function graphqlClient(url: string, { client: options, ...transport }: Options = {}) {
  const client = createClient({
    transports: { graphql: graphqlTransport({ url, ...transport }) },
    retry: { baseDelayMs: 1, throttleDelayMs: 1 },
    ...options,
  })
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.close() })
}

/** The CallError that a call ends with. */
export async function failureOf(call: Promise<unknown>): Promise<CallError> {
  const error = await call.then(
    (message) => expect.fail(`it succeeded: ${JSON.stringify(message)}`),
    (reason: unknown) => reason,
  )
  if (!isCallError(error)) throw error
  return error
}
