import { createClient, type Operation, type, type Unary } from 'polywire'
import { batched } from 'polywire/loader'
import { get, restTransport } from 'polywire/rest'
import { expectTypeOf, test } from 'vitest'

interface User {
  id: number
  name: string
}

const list = get('/users', { query: type<{ ids: readonly number[] }>(), output: type<User[]>() })
const page = get('/users', { query: type<{ ids: readonly number[] }>(), output: type<{ users: User[] }>() })
const client = createClient({ transports: { rest: restTransport({ baseUrl: 'https://a.example' }) } })

test('batched() makes an operation from key to item, over the same transport', () => {
  const one = batched(list, { input: (ids: readonly number[]) => ({ ids }), by: 'id' })
  expectTypeOf(one).toEqualTypeOf<Operation<'rest', Unary<number, User>>>()
  expectTypeOf(client.call(one, 7)).resolves.toEqualTypeOf<User>()
  const nested = batched(page, {
    input: (ids: readonly number[]) => ({ ids }),
    items: ({ users }) => users,
    by: ({ id }) => id,
  })
  expectTypeOf(nested).toEqualTypeOf<Operation<'rest', Unary<number, User>>>()
})

test('what does not fit is refused', () => {
  // @ts-expect-error: no member of an item
  batched(list, { input: (ids: readonly number[]) => ({ ids }), by: 'key' })
  // @ts-expect-error: the operation takes numbers
  batched(list, { input: (ids: readonly string[]) => ({ ids }), by: 'id' })
  // @ts-expect-error: the answer is no list, and items does not say where one is
  batched(page, { input: (ids: readonly number[]) => ({ ids }), by: 'id' })
  const one = batched(list, { input: (ids: readonly number[]) => ({ ids }), by: 'id' })
  // @ts-expect-error: a key, not many
  void client.call(one, [7])
})
