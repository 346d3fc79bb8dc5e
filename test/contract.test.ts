import { inspect } from 'node:util'
import { createClient } from 'polywire'
import { grpcWebTransport, service } from 'polywire/grpc-web'
import { memoryTransport } from 'polywire/testing'
import { expect, it, vi } from 'vitest'
import { streamOperation, unaryOperation } from './support/memory-client.ts'
import { ShopService } from './support/proto/gen/polywire/test/v1/shop_pb.ts'

function connect() {
  const transports = {
    memory: memoryTransport({ handle: () => 'hi' }),
    'grpc-web': grpcWebTransport({ baseUrl: 'http://rpc.test' }),
  }
  const client = createClient({ transports })
  const contract = { users: { get: unaryOperation(), watch: streamOperation() }, shop: service(ShopService) }
  return { client, contract, api: client.bind(contract) }
}

it('a client and what it has bound are plain: awaited, printed, listed and spread like any object', async () => {
  const { client, api } = connect()
  // A Proxy would be asked for `then`, and take it for an operation.
  expect(await client).toBe(client)
  expect(await api).toBe(api)
  expect(await api.users.get).toBe(api.users.get)
  expect(Object.keys(api)).toEqual(['users', 'shop'])
  expect(Object.keys(api.shop)).toEqual(Object.keys(ShopService.method))
  expect({ ...api.users }.get).toBe(api.users.get)
  expect('nothing' in api.users).toBe(false)
  expect(inspect(api)).toContain('watchItems')
  expect(await api.users.get({})).toBe('hi')
  await client.close()
})

it('what is bound can be spied on and stood in for', async () => {
  const { client, api } = connect()
  const spy = vi.spyOn(api.users, 'get')
  expect(await api.users.get({ n: 1 })).toBe('hi')
  expect(spy).toHaveBeenCalledWith({ n: 1 })
  spy.mockResolvedValue('mocked')
  expect(await api.users.get({})).toBe('mocked')
  spy.mockRestore()
  expect(await api.users.get({})).toBe('hi')
  await client.close()
})

it('a contract is bound as often as one likes, by several clients, and stays as it was', async () => {
  const { client, contract, api } = connect()
  const before = Object.keys(contract.users)
  const again = client.bind(contract)
  expect(again).not.toBe(api)
  const other = connect()
  expect(await other.client.bind(contract).users.get({})).toBe('hi')
  expect(Object.keys(contract.users)).toEqual(before)
  await client.close()
  await other.client.close()
})

it('a generated service is bound by service(), which what refuses it says', () => {
  const { client } = connect()
  for (const wrong of [ShopService, ShopService.method, { get: ShopService.method.getItem }])
    expect(() => client.bind(wrong as never)).toThrow(/is no operation: .*service\(\)/)
})
