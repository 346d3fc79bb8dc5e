import { type } from 'polywire'
import { graphqlTransport, mutation, query, subscription } from 'polywire/graphql'
import { describe, expect, it, test } from 'vitest'
import { failureOf, graphqlClient } from '../../support/graphql-client.ts'

const url = 'https://api.example.com/graphql'

describe('graphqlTransport', () => {
  test.each<[string, object, string]>([
    ['a misspelt name', { heders: {} }, "unknown option 'heders': did you mean 'headers'?"],
    ['the name of another transport', { baseUrl: url }, "unknown option 'baseUrl': did you mean 'url'?"],
    ['a limit that is none', { maxBodyBytes: Number.NaN }, 'maxBodyBytes takes a number above 0'],
    ['a limit that is a text', { maxBodyBytes: '1' }, 'maxBodyBytes takes'],
    ['a url that is none', { url: 7 }, 'graphqlTransport({ url }): a URL such as'],
    ['no url', { url: undefined }, 'graphqlTransport({ url }): a URL such as'],
    ['params that are a text', { connectionParams: 'token' }, 'connectionParams takes an object, or a function'],
    ['a profile that is none', { idempotency: 'strype' }, 'idempotency takes'],
  ])('refuses %s', (_, options, text) => {
    expect(() => graphqlTransport({ url, ...options } as never)).toThrow(
      expect.objectContaining({ code: 'invalid_argument', message: expect.stringContaining(text) }),
    )
  })

  test.each<[string, object, string]>([
    ['a misspelt name', { hartbeat: false }, "unknown option 'hartbeat': did you mean 'heartbeat'?"],
    ['a name of websocketTransport', { lingerMs: 5 }, "unknown option 'lingerMs'"],
    ['attempts that are none', { reconnect: { maxAttempts: Number.NaN } }, 'reconnect.maxAttempts takes'],
    ['a place that is none', { authIn: 'body' }, 'authIn takes'],
  ])('refuses %s among the options of the socket, once there is one', async (_, socket, text) => {
    await using client = graphqlClient(url, { socket: socket as never })
    const error = await failureOf(client.call(subscription('subscription { a }', { output: type<unknown>() })).opened)
    expect(error).toMatchObject({ code: 'invalid_argument', sent: 'no', message: expect.stringContaining(text) })
  })

  it('takes what is undefined for not said', () => {
    const none = { auth: undefined, headers: undefined, socket: undefined, connectionParams: undefined }
    expect(graphqlTransport({ url, ...none }).origin).toBe('https://api.example.com')
  })
})

describe('query, mutation and subscription', () => {
  const output = type<unknown>()

  test.each<[string, () => unknown, string]>([
    [
      'a misspelt name',
      () => query('{ a }', { ouput: output } as never),
      "unknown option 'ouput': did you mean 'output'?",
    ],
    ['a wrong policy', () => query('{ a }', { output, errorPolicy: 'some' } as never), "errorPolicy takes 'none'"],
    ['an output that is no schema', () => mutation('mutation { a }', { output: {} } as never), 'output takes a schema'],
    ['retry: 3', () => query('{ a }', { output, retry: 3 } as never), 'retry takes'],
    ['a queue of NaN', () => subscription('subscription { a }', { output, maxQueued: Number.NaN }), 'maxQueued takes'],
    ['gaps of a query', () => query('{ a }', { output, gaps: 'yield' } as never), "'gaps' is for subscription()"],
    [
      'half a resume',
      () => subscription('subscription { a }', { output, resume: { cursor: () => 1 } } as never),
      'resume takes { cursor, apply }',
    ],
    [
      'a resume that is half wrong',
      () => subscription('subscription { a }', { output, resume: { cursor: 1, apply: () => ({}) } } as never),
      'resume.cursor',
    ],
  ])('refuse %s', (_, make, text) => {
    expect(make).toThrow(TypeError)
    expect(make).toThrow(text)
  })
})
