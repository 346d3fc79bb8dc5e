import { basicAuth } from 'polywire/auth'
import { describe, expect, it } from 'vitest'
import { memoryClient, unaryOperation } from '../support/memory-client.ts'

/** The header that one call carries. */
async function headerOf(username: string, password: string): Promise<string | undefined> {
  const seen: (string | undefined)[] = []
  const { client } = memoryClient((call) => seen.push(call.credential?.headers?.authorization), {
    auth: basicAuth({ username, password }),
  })
  await client.call(unaryOperation())
  return seen[0]
}

describe('basicAuth', () => {
  it('writes name and password as RFC 7617 does, in UTF-8', async () => {
    expect(await headerOf('Aladdin', 'open sesame')).toBe('Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==')
    expect(await headerOf('test', '123£')).toBe('Basic dGVzdDoxMjPCow==')
    expect(await headerOf('', ':')).toBe('Basic Ojo=')
  })

  it('writes latin1 where a server wants it, and refuses what that has not', () => {
    const { headers } = basicAuth({ username: 'test', password: '123£', charset: 'latin1' }).credential(
      {} as never,
    ) as {
      headers: Record<string, string>
    }
    expect(headers.authorization).toBe(`Basic ${Buffer.from('test:123£', 'latin1').toString('base64')}`)
    expect(() => basicAuth({ username: 'test', password: '€', charset: 'latin1' })).toThrow(/latin1/)
  })

  it.each([{}, { username: 'me' }, { username: 'me', password: 7 }])('refuses %o', (wrong) => {
    expect(() => basicAuth(wrong as never)).toThrow(/both are texts/)
  })

  it('refuses a name with a colon, which the password would begin at', () => {
    expect(() => basicAuth({ username: 'a:b', password: 'c' })).toThrow(/colon/)
  })

  it('shows its secret to neither console nor JSON', () => {
    const credential = basicAuth({ username: 'me', password: 'CANARY' }).credential({} as never)
    expect(JSON.stringify([credential])).toBe('["[Credential]"]')
  })
})
