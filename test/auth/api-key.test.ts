import { type Credential, createContextKey } from 'polywire'
import { apiKeyAuth } from 'polywire/auth'
import { describe, expect, it } from 'vitest'
import { memoryClient, unaryOperation } from '../support/memory-client.ts'

/** The credentials that calls carry, one after the other. */
function recorded(auth: ReturnType<typeof apiKeyAuth>) {
  const seen: (Credential | undefined)[] = []
  const made = memoryClient((call) => seen.push(call.credential), { auth })
  return { ...made, seen, call: () => made.client.call(unaryOperation()) }
}

describe('apiKeyAuth', () => {
  it.each([
    [{}, { headers: { 'x-api-key': 'k' } }],
    [{ header: 'X-Custom' }, { headers: { 'x-custom': 'k' } }],
    [{ query: 'key' }, { query: { key: 'k' } }],
  ] as const)('with %o puts the key where it belongs', async (options, place) => {
    const { seen, call } = recorded(apiKeyAuth('k', options))
    await call()
    expect(seen[0]).toEqual({ ...place, secret: 'k' })
  })

  it('asks for the key of each attempt, at once or later, and sends none where there is none', async () => {
    let key: string | undefined | Promise<string | undefined>
    const { seen, call } = recorded(apiKeyAuth(() => key))
    for (key of ['a', Promise.resolve('b'), undefined, Promise.resolve(undefined), null as never]) await call()
    expect(seen.map((credential) => credential?.secret)).toEqual(['a', 'b', undefined, undefined, undefined])
  })

  it.each([7, { key: 'k' }, () => 'k'])(
    'a function that gives %o sends nothing: it would be sent as some text',
    async (wrong) => {
      for (const options of [{}, { query: 'key' }]) {
        const { seen, call } = recorded(apiKeyAuth(() => wrong as never, options))
        await expect(call()).rejects.toMatchObject({ code: 'unauthenticated', sent: 'no' })
        expect(seen).toEqual([])
      }
    },
  )

  it('tells whose key it is', async () => {
    const user = createContextKey('nobody')
    const auth = apiKeyAuth('k', { identity: ({ context }) => context.get(user) })
    const identities: string[] = []
    const { client } = memoryClient((call) => identities.push(call.identity), { auth })
    await client.call(unaryOperation(), {}, { context: user.with('ann') })
    await client.call(unaryOperation())
    expect(identities).toEqual(['ann', 'nobody'])
  })

  it.each([undefined, null, 7, { key: 'x' }])('refuses %o', (wrong) => {
    expect(() => apiKeyAuth(wrong as never)).toThrow(/apiKeyAuth\(key, options\)/)
  })
})
