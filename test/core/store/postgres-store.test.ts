import type { Store } from 'polywire'
import { storeConformance } from 'polywire/testing'
import { afterAll, beforeAll, it } from 'vitest'
import { documented } from '../../support/documented.ts'
import { describePostgres, PostgresServer } from '../../support/servers/postgres.ts'

interface Documented {
  readonly table: string
  postgresStore(pool: object): Store
}

describePostgres('the store over Postgres of docs/stores.md', () => {
  let server: PostgresServer
  let example: Documented
  beforeAll(async () => {
    server = await PostgresServer.start()
    example = await documented<Documented>('docs/stores.md', 'postgresStore')
    const client = await server.connect()
    await client.query(example.table)
    client.end()
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  const closers = new Map<Store, () => void>()
  const make = async () => {
    const client = await server.connect()
    const store = example.postgresStore(client)
    closers.set(store, () => client.end())
    return store
  }
  const close = (store: Store) => closers.get(store)?.()
  for (const { name, run } of storeConformance(make, { without: ['listen'], close })) it(name, run)
})
