import {
  type Api,
  cancelWith,
  createClient,
  type Health,
  type InputOf,
  type OutputOf,
  type Run,
  type,
  watchWith,
} from 'polywire'
import {
  apiVersion,
  type ByteStream,
  byteStream,
  del,
  get,
  health,
  longRunning,
  post,
  restTransport,
} from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { expectTypeOf, it } from 'vitest'

interface Report {
  readonly rows: number
}
const start = post('/reports/{id}', { body: type<{ month: string }>() })
const rest = restTransport({ baseUrl: 'https://api.example.com' })
const sse = sseTransport({ baseUrl: 'https://api.example.com' })

it('types input, result and progress', () => {
  const operation = longRunning(start, { result: type<Report>(), progress: type<{ percent: number }>() })
  const contract = { report: operation }
  const api: Api<typeof contract> = createClient({ transports: { rest } }).bind(contract)
  expectTypeOf<InputOf<typeof operation>>().toExtend<{ month: string }>()
  expectTypeOf<OutputOf<typeof operation>>().toEqualTypeOf<Report>()
  expectTypeOf(api.report.start).returns.resolves.toEqualTypeOf<Run<Report, { percent: number }>>()
  expectTypeOf(api.report.revive).returns.toEqualTypeOf<Run<Report, { percent: number }>>()
  const wrong = () => {
    // @ts-expect-error month is missing
    void api.report.start({ id: 1 })
    // @ts-expect-error a run has no such member
    void api.report.end
  }
  expectTypeOf(wrong).toBeFunction()
})

it('takes its result from an operation', () => {
  const bytes = longRunning(start, { result: get('/files/{name}', { response: 'bytes' }) })
  expectTypeOf<OutputOf<typeof bytes>>().toEqualTypeOf<Uint8Array>()
  const stream = longRunning(start, { result: get('/files/{name}', { response: byteStream }) })
  expectTypeOf<OutputOf<typeof stream>>().toEqualTypeOf<ByteStream>()
  expectTypeOf<OutputOf<ReturnType<typeof plain>>>().toBeUnknown()
})
const plain = () => longRunning(start)

it('needs the transports of what feeds it', () => {
  const watch = watchWith(
    events('/jobs/{id}/events', { status: type<{ status: string }>() }),
    ({ id }) => ({ id }),
    ({ data }) => data.status,
  )
  const fed = longRunning(start, { watch, cancel: cancelWith(del('/jobs/{id}'), ({ id }) => ({ id })) })
  createClient({ transports: { rest, sse } }).bind({ fed })
  const lacking = () => {
    // @ts-expect-error createClient({ transports }) has no 'sse'
    createClient({ transports: { rest } }).bind({ fed })
    // @ts-expect-error the input of the operation has an id
    cancelWith(del('/jobs/{id}'), () => ({ job: 1 }))
    // @ts-expect-error no stream
    watchWith(get('/jobs/{id}'), ({ id }) => ({ id }), String)
    // @ts-expect-error no such option
    longRunning(start, { reslt: type<Report>() })
    // @ts-expect-error a stream is no start of a run
    longRunning(events('/a', {}))
  }
  expectTypeOf(lacking).toBeFunction()
})

it('types a probe and a version', () => {
  const probe = health('/healthz', { via: 'billing' })
  expectTypeOf(createClient({ transports: { billing: rest } }).call(probe)).resolves.toEqualTypeOf<Health>()
  const version = apiVersion({ in: 'header', versions: ['v1', 'v2'] })
  expectTypeOf(version('v1').version).toEqualTypeOf<'v1'>()
  const wrong = () => {
    // @ts-expect-error createClient({ transports }) has no 'billing'
    void createClient({ transports: { rest } }).call(probe)
    // @ts-expect-error there is no such version
    version('v3')
    // @ts-expect-error a media type needs its type
    apiVersion({ in: 'media-type' })
    // @ts-expect-error a version is what apiVersion() makes
    get('/users', { version: 'v1' })
  }
  expectTypeOf(wrong).toBeFunction()
})
