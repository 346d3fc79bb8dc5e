/** Usage and refusals of filters, sort orders and lists of fields. It passes when it compiles; nothing here runs. */
import { createClient, type } from 'polywire'
import {
  bare,
  type FieldPath,
  fieldList,
  follow,
  get,
  ifNoneMatch,
  orderBy,
  post,
  restTransport,
  select,
  sortBy,
  update,
  where,
} from 'polywire/rest'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function same<A, B>(equal: Equal<A, B>): void

interface Order {
  id: number
  state: 'OPEN' | 'DONE'
  placed: Date
  customer: { name: string }
  tags: string[]
  note?: string | null
}
same<FieldPath<Order>, 'id' | 'state' | 'placed' | 'customer' | 'customer.name' | 'tags' | 'note'>(true)
same<FieldPath<Order[]>, FieldPath<Order>>(true)

sortBy<Order>('-id', 'customer.name')
// @ts-expect-error no such field
sortBy<Order>('-ids')
// @ts-expect-error no such field
orderBy<Order>('customer.nam')
// @ts-expect-error a sort order is no field
fieldList<Order>('-id')

where<Order>({ state: 'OPEN', id: { gt: 5 }, tags: { has: 'new' }, note: null, 'customer.name': { like: 'A*' } })
where<Order>({ state: bare('OPEN'), placed: { ge: new Date() } })
// @ts-expect-error no such field
where<Order>({ stat: 'OPEN' })
// @ts-expect-error no such state
where<Order>({ state: 'OPENED' })
// @ts-expect-error no such state
where<Order>({ state: bare('OPENED') })
// @ts-expect-error no number
where<Order>({ id: { gt: '5' } })
// @ts-expect-error no such test
where<Order>({ id: { above: 5 } })
// @ts-expect-error numbers have no patterns
where<Order>({ id: { like: '5*' } })

const client = createClient({ transports: { rest: restTransport({ baseUrl: 'https://api.example.com' }) } })
const api = client.bind({
  get: get('/orders/{id}', { output: type<Order>() }),
  list: get('/orders', { output: type<Order[]>() }),
  make: post('/orders', { body: type<{ id: number }>() }),
})
const brief = select(api.get, ['id', 'state'])
same<Awaited<ReturnType<typeof brief>>, Pick<Order, 'id' | 'state'>>(true)
const all = select(api.list, ['id'])
same<Awaited<ReturnType<typeof all>>, Pick<Order, 'id'>[]>(true)
// @ts-expect-error no such field
select(api.get, ['ids'])
// @ts-expect-error the input stays what it was
void brief({ name: 1 })

const made = await api.make.reply({ id: 1 })
await api.get(follow(made))
await api.get(follow(made, 'order', { id: 1 }))
// @ts-expect-error no such input
await api.get(follow(made, 'order', { ids: 1 }))
const known = await api.get.reply({ id: 1 })
const fresh = await api.get.reply({ id: 1 }, ifNoneMatch(known))
same<typeof fresh.message, Order>(true)
// @ts-expect-error a tag alone gives no message for a 304
ifNoneMatch('"v1"')
const result = await update(
  (options) => api.get.reply({ id: 1 }, options),
  (order, options) => api.make({ id: order.id }, options).then(() => order.state),
)
same<typeof result, Order['state']>(true)

const file = get('/repos/{owner}/contents/{+path}', { output: type<string>(), response: 'text' })
client.call(file, { owner: 'a', path: 'docs/a.md' })
// @ts-expect-error the name is path
client.call(file, { owner: 'a', '+path': 'docs/a.md' })
// @ts-expect-error 'follow', 'error' or 'manual'
get('/a', { redirect: 'never' })
// @ts-expect-error what compression() makes
post('/a', { body: type<{ a: 1 }>(), compress: 'gzip' })
