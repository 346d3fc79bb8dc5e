/**
 * The client under test of the official conformance suite: reads calls from stdin, makes them, writes what came of them
 * to stdout. `node client.ts own | own-by-fetch | connect-web | connect-node`
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import {
  type ClientCompatRequest,
  ClientCompatRequestSchema,
  ClientCompatResponseSchema,
} from './gen/connectrpc/conformance/v1/client_compat_pb.js'
import { type Carrier, runCase } from './run-case.ts'

const carrier = process.argv[2] as Carrier
/** The suite sends all its cases at once; some measure time, which must not be spent on the others. */
const maxRunning = 4
const waiting: ClientCompatRequest[] = []
const running = new Set<Promise<void>>()
let pending = Buffer.alloc(0)

for await (const chunk of process.stdin) {
  pending = Buffer.concat([pending, chunk])
  while (pending.length >= 4 && pending.length >= 4 + pending.readUInt32BE(0)) {
    const end = 4 + pending.readUInt32BE(0)
    waiting.push(fromBinary(ClientCompatRequestSchema, pending.subarray(4, end)))
    pending = pending.subarray(end)
    startNext()
  }
}
while (running.size > 0) await Promise.race(running)
process.exit(0)

function startNext(): void {
  const request = running.size < maxRunning ? waiting.shift() : undefined
  if (!request) return
  const { testName } = request
  const done = runCase(request, carrier)
    .then(
      (response) => answer({ testName, result: { case: 'response', value: response } }),
      (error: Error) =>
        answer({ testName, result: { case: 'error', value: { message: error.stack ?? String(error) } } }),
    )
    .then(() => {
      running.delete(done)
      startNext()
    })
  running.add(done)
}

function answer(init: Parameters<typeof create<typeof ClientCompatResponseSchema>>[1]): void {
  const bytes = toBinary(ClientCompatResponseSchema, create(ClientCompatResponseSchema, init))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  process.stdout.write(Buffer.concat([length, bytes]))
}
