import { createClient, type } from 'polywire'
import { fieldList, get, orderBy, restTransport, select, sortBy } from 'polywire/rest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RestServer, startRestServer } from '../../../support/servers/rest-server.ts'

interface User {
  id: number
  name: string
  created_at: string
  address: { city: string; geo: { lat: number } }
}
let server: RestServer
beforeAll(async () => {
  server = await startRestServer()
})
afterAll(() => server[Symbol.asyncDispose]())

describe('sort orders and lists of fields', () => {
  it('are written as APIs take them', () => {
    expect(sortBy<User>('-created_at', 'name')).toBe('-created_at,name')
    expect(orderBy<User>('-created_at', 'address.city')).toBe('created_at desc,address.city')
    expect(fieldList<User>('id', 'address.geo.lat')).toBe('id,address.geo.lat')
    expect(sortBy<User>()).toBe('')
  })

  it.each(['a,b', 'a b', '', '-', '--a', 'a\n', 5, undefined, null])('refuse %j as a name', (name) => {
    for (const make of [sortBy, orderBy, fieldList]) expect(() => make<any>(name as never)).toThrow(/names of fields/)
  })

  it('stand in queries; those of JSON:API by type', async () => {
    const client = createClient({ transports: { rest: restTransport({ baseUrl: server.url }) } })
    const list = get('/articles', {
      query: type<{ sort?: string; fields?: Record<string, string>; filter?: Record<string, string> }>(),
    })
    await client.call(list, {
      sort: sortBy<User>('-created_at'),
      fields: { people: fieldList<User>('name', 'id') },
      filter: { name: 'Ada' },
    })
    expect(decodeURIComponent(server.last.url)).toBe(
      '/articles?sort=-created_at&fields[people]=name,id&filter[name]=Ada',
    )
    await client.close()
  })
})

describe('select', () => {
  it('asks for some fields, and gives a message of these alone', async () => {
    const client = createClient({ transports: { rest: restTransport({ baseUrl: server.url }) } })
    const api = client.bind({
      get: get('/users/{id}', { output: type<User>() }),
      list: get('/users', { query: type<{ size?: number }>(), output: type<User[]>() }),
    })
    server.answer(() => ({ id: 1, name: 'Ada' }))
    const brief = select(api.get, ['id', 'name'])
    const user = await brief({ id: 1 })
    expect(user.name).toBe('Ada')
    // @ts-expect-error it was not asked for
    expect(user.address).toBeUndefined()
    expect(server.last.url).toBe('/users/1?fields=id%2Cname')
    expect((await brief.reply({ id: 1 })).message.id).toBe(1)
    server.answer(() => [{ id: 1 }])
    const ids = select(api.list, ['id'], '$select')
    expect((await ids({ size: 3 }))[0]?.id).toBe(1)
    expect(server.last.url).toBe('/users?size=3&%24select=id')
    // @ts-expect-error no such field
    expect(() => select(api.get, ['a,b'])).toThrow(/names of fields/)
    expect(() => select(api.get, [])).toThrow(/at least one/)
    await client.close()
  })
})
