import { create } from '@bufbuild/protobuf'
import { anyPack } from '@bufbuild/protobuf/wkt'
import { Code, ConnectError } from '@connectrpc/connect'
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node'
import { createClient } from 'polywire'
import { connectTransport, type GrpcTransport, grpcDetail, grpcWebTransport, longRunning, rpc } from 'polywire/grpc-web'
import { describe, expect, it } from 'vitest'
import { drive } from '../../support/drive.ts'
import { rejection } from '../../support/grpc-client.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { OperationSchema, Operations } from '../../support/proto/gen/google/longrunning/operations_pb.ts'
import { BadRequestSchema } from '../../support/proto/gen/google/rpc/error_details_pb.ts'
import { StatusSchema } from '../../support/proto/gen/google/rpc/status_pb.ts'
import {
  ExportProgressSchema,
  ExportResultSchema,
  JobService,
} from '../../support/proto/gen/polywire/test/v1/jobs_pb.ts'
import { ItemEventSchema, ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { GrpcServer } from '../../support/servers/grpc-server.ts'

const exporting = longRunning(rpc(JobService.method.export), {
  operations: Operations,
  result: ExportResultSchema,
  progress: ExportProgressSchema,
})

const name = 'projects/p/operations/42'
const running = (percent: number) =>
  create(OperationSchema, {
    name,
    metadata: anyPack(ExportProgressSchema, create(ExportProgressSchema, { percent })),
  })
const succeeded = (file: string) =>
  create(OperationSchema, {
    name,
    done: true,
    metadata: anyPack(ExportProgressSchema, create(ExportProgressSchema, { percent: 100 })),
    result: {
      case: 'response',
      value: anyPack(ExportResultSchema, create(ExportResultSchema, { file, digest: Uint8Array.of(1, 2) })),
    },
  })
const ended = (code: Code, message: string) =>
  create(OperationSchema, {
    name,
    done: true,
    result: {
      case: 'error',
      value: create(StatusSchema, {
        code,
        message,
        details: [
          anyPack(
            BadRequestSchema,
            create(BadRequestSchema, { fieldViolations: [{ field: 'shop', description: 'is closed' }] }),
          ),
        ],
      }),
    },
  })

type Step = ReturnType<typeof running> | ConnectError

/** A server that answers the start, and then each poll, by the next of these. */
async function serverOf(steps: Step[], wire: 'h1' | 'h2c' = 'h1') {
  const seen: string[] = []
  const next = (): ReturnType<typeof running> => {
    const step = steps.shift() ?? running(99)
    if (step instanceof ConnectError) throw step
    return step
  }
  const server = await GrpcServer.start((router) => {
    router.service(JobService, {
      export({ shop }) {
        seen.push(`export ${shop}`)
        return next()
      },
    })
    router.service(Operations, {
      getOperation(request) {
        seen.push(`get ${request.name}`)
        return next()
      },
      cancelOperation(request) {
        seen.push(`cancel ${request.name}`)
        steps.length = 0
        steps.push(ended(Code.Canceled, 'as you wish'))
        return {}
      },
    })
  }, wire)
  return Object.assign(server, { seen })
}

function connect(transport: GrpcTransport) {
  const clock = manualClock()
  const client = createClient({ transports: { 'grpc-web': transport }, clock, timeoutMs: 10_000_000 })
  const api = client.bind({ exporting })
  return { clock, client, exporting: api.exporting, [Symbol.asyncDispose]: () => client.close() }
}

const ways: readonly [name: string, wire: 'h1' | 'h2c', make: (baseUrl: string) => GrpcTransport][] = [
  ['own framing', 'h1', (baseUrl) => grpcWebTransport({ baseUrl, framing: 'own' })],
  ['connect-web', 'h1', (baseUrl) => grpcWebTransport({ baseUrl, framing: 'connect-web' })],
  [
    'gRPC by connect-node',
    'h2c',
    (baseUrl) =>
      connectTransport({
        transport: createGrpcTransport({ baseUrl, sessionManager: new Http2SessionManager(baseUrl) }),
      }),
  ],
]

describe.each(ways)('a long-running operation over %s', (_, wire, make) => {
  it('is started, asked for while somebody waits, and its result unpacked', async () => {
    await using server = await serverOf([running(0), running(40), running(80), succeeded('a.csv')], wire)
    await using api = connect(make(server.url))
    const run = await api.exporting.start({ shop: 's' })
    expect([run.id, run.status, run.lastProgress?.percent]).toEqual([name, 'running', 0])
    const seen: number[] = []
    const reading = (async () => {
      for await (const { percent } of run.progress) seen.push(percent)
    })()
    const result = await drive(api.clock, run.result())
    await drive(api.clock, reading)
    expect(result).toMatchObject({ $typeName: 'polywire.test.v1.ExportResult', file: 'a.csv' })
    expect(result.digest.constructor).toBe(Uint8Array)
    expect(seen.at(-1)).toBe(100)
    expect(run.status).toBe('succeeded')
    expect(server.seen).toEqual(['export s', `get ${name}`, `get ${name}`, `get ${name}`])
  })

  it('that failed is an error with its status and details, never sent again', async () => {
    await using server = await serverOf([running(0), ended(Code.Unavailable, 'shop is gone')], wire)
    await using api = connect(make(server.url))
    const error = await rejection(drive(api.clock, api.exporting({ shop: 's' })))
    expect(error).toMatchObject({
      code: 'unavailable',
      runStatus: 'failed',
      isRetryable: false,
      sent: 'yes',
      serverMessage: 'shop is gone',
      violations: [{ field: 'shop', message: 'is closed' }],
    })
    expect(error.message).toContain('polywire.test.v1.JobService/Export')
    expect(grpcDetail(error, BadRequestSchema)?.fieldViolations[0]?.field).toBe('shop')
    expect(server.seen).toEqual(['export s', `get ${name}`])
  })

  it('is given up by CancelOperation', async () => {
    await using server = await serverOf([running(0)], wire)
    await using api = connect(make(server.url))
    const run = await api.exporting.start({ shop: 's' })
    await run.cancel()
    const error = await rejection(drive(api.clock, run.result()))
    expect(error).toMatchObject({ code: 'canceled', runStatus: 'canceled', serverMessage: 'as you wish' })
    expect(run.status).toBe('canceled')
    expect(server.seen).toEqual(['export s', `cancel ${name}`, `get ${name}`])
  })

  it('goes on in another process by what was written down', async () => {
    await using server = await serverOf([running(0), succeeded('b.csv')], wire)
    await using first = connect(make(server.url))
    const written = JSON.stringify(await first.exporting.start({ shop: 's' }))
    expect(JSON.parse(written)).toEqual({
      v: 1,
      operation: 'polywire.test.v1.JobService/Export',
      id: name,
      place: null,
    })
    await using second = connect(make(server.url))
    const revived = second.exporting.revive(written)
    expect((await drive(second.clock, revived.result())).file).toBe('b.csv')
    expect(server.seen).toEqual(['export s', `get ${name}`])
  })
})

describe('a long-running operation over gRPC', () => {
  const own = (baseUrl: string) => grpcWebTransport({ baseUrl })

  it('that is done at once is not asked for', async () => {
    await using server = await serverOf([succeeded('now.csv')])
    await using api = connect(own(server.url))
    expect((await api.exporting({ shop: 's' })).file).toBe('now.csv')
    expect(server.seen).toEqual(['export s'])
  })

  it('outlives polls that fail for a while', async () => {
    const away = () => new ConnectError('away', Code.Unavailable)
    await using server = await serverOf([running(0), away(), away(), away(), away(), succeeded('c.csv')])
    await using api = connect(own(server.url))
    expect((await drive(api.clock, api.exporting({ shop: 's' }))).file).toBe('c.csv')
    expect(server.seen.length).toBe(6)
  })

  it('that the server does not know any more is told', async () => {
    await using server = await serverOf([running(0), new ConnectError('who?', Code.NotFound)])
    await using api = connect(own(server.url))
    const error = await rejection(drive(api.clock, api.exporting({ shop: 's' })))
    expect(error).toMatchObject({ code: 'not_found', runStatus: 'running' })
  })

  it.each([
    [
      'of another type',
      anyPack(ExportProgressSchema, create(ExportProgressSchema)),
      "type 'polywire.test.v1.ExportProgress'",
    ],
    [
      'that does not decode',
      { typeUrl: 'x/polywire.test.v1.ExportResult', value: Uint8Array.of(0xff) },
      'does not decode',
    ],
  ])('whose result is one %s is told so', async (_, value, words) => {
    const done = create(OperationSchema, { name, done: true, result: { case: 'response', value: value as never } })
    await using server = await serverOf([done])
    await using api = connect(own(server.url))
    const error = await rejection(api.exporting({ shop: 's' }))
    expect(error).toMatchObject({ code: 'internal', sent: 'yes' })
    expect(error.message).toContain(words)
  })

  it.each([
    ['done without a result', { name, done: true }, 'neither a response nor an error'],
    ['without a name', { done: false }, 'has no name'],
  ])('that is %s is told so', async (_, init, words) => {
    await using server = await serverOf([create(OperationSchema, init)])
    await using api = connect(own(server.url))
    const error = await rejection(api.exporting({ shop: 's' }))
    expect(error).toMatchObject({ code: 'internal', sent: 'yes' })
    expect(error.message).toContain(words)
  })

  it('leaves progress out that is of another type, and keeps the result', async () => {
    const odd = create(OperationSchema, { name, metadata: { typeUrl: 'x/acme.Other', value: Uint8Array.of(1) } })
    await using server = await serverOf([odd, succeeded('d.csv')])
    await using api = connect(own(server.url))
    const run = await api.exporting.start({ shop: 's' })
    expect(run.lastProgress).toBeUndefined()
    expect((await drive(api.clock, run.result())).file).toBe('d.csv')
  })

  it('takes what came of it by another way, and gives the Any where no message is declared', async () => {
    const plain = longRunning(rpc(JobService.method.export), { operations: Operations, poll: false })
    await using server = await serverOf([running(0)])
    await using api = connect(own(server.url))
    const run = await api.client.bind({ plain }).plain.start({ shop: 's' })
    await expect(run.update({ done: true })).rejects.toMatchObject({ code: 'internal' })
    await run.update(succeeded('e.csv'))
    expect((await run.result()).typeUrl).toBe('type.googleapis.com/polywire.test.v1.ExportResult')
    expect(server.seen).toEqual(['export s'])
  })

  it('is made of nothing else, and says so', () => {
    const start = rpc(JobService.method.export)
    const wrong = (run: () => unknown, words: string) => expect(run).toThrow(words)
    wrong(
      () => longRunning(rpc(ShopService.method.getItem) as never, { operations: Operations }),
      'gives a google.longrunning',
    )
    wrong(() => longRunning(start, {} as never), 'operations')
    wrong(() => longRunning(start, { operations: ShopService as never }), 'operations')
    wrong(() => longRunning(start, { operations: Operations, result: 'x' as never }), 'result')
    wrong(() => longRunning(start, { operations: Operations, resutl: ExportResultSchema } as never), 'resutl')
  })
})

it('progress whose int64 stands still is told once', async () => {
  const at = (sequence: bigint) => ({ name, metadata: anyPack(ItemEventSchema, create(ItemEventSchema, { sequence })) })
  const steps = [at(1n), at(1n), at(1n), at(2n), at(2n)].map((init) => create(OperationSchema, init))
  await using server = await serverOf([...steps, succeeded('a.csv')])
  const counted = longRunning(rpc(JobService.method.export), {
    operations: Operations,
    result: ExportResultSchema,
    progress: ItemEventSchema,
  })
  const clock = manualClock()
  const transports = { 'grpc-web': grpcWebTransport({ baseUrl: server.url }) }
  const client = createClient({ transports, clock, timeoutMs: 10_000_000 })
  const run = await client.bind({ counted }).counted.start({ shop: 's' })
  const told: bigint[] = []
  const reading = (async () => {
    for await (const { sequence } of run.progress) told.push(sequence)
  })()
  await drive(clock, run.result())
  await drive(clock, reading)
  // The last comes with the result, whose metadata is of another type.
  expect(told.filter((sequence) => sequence > 0n)).toEqual([1n, 2n])
  await client.close()
})
