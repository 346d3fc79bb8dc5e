import type { IncomingMessage } from 'node:http'
import { create, toBinary } from '@bufbuild/protobuf'
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from '@connectrpc/connect'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import { ItemSchema, ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { type Deed, feedLength, maxAnswerBytes, serverText } from '../support/harness.ts'
import { HttpGate } from '../support/http-gate.ts'

const requestKey = createContextKey<IncomingMessage | undefined>(undefined)

/** connect-node behind the gate. */
export async function startGrpcWebPeer(): Promise<HttpGate> {
  const gate = new HttpGate({
    contentType: 'application/grpc-web+proto',
    encode: (name) => answer(toBinary(ItemSchema, create(ItemSchema, { name }))),
    isInFlightByStatus: false,
    garbage: answer(Uint8Array.of(0xff, 0xff)),
  })
  const listener = connectNodeAdapter({
    routes: (router) => routes(router, gate),
    contextValues: (request) => createContextValues().set(requestKey, request as IncomingMessage),
  })
  return gate.listen(listener)
}

function routes(router: ConnectRouter, gate: HttpGate): void {
  const echo = async ({ name }: { name: string }, { values }: HandlerContext) => {
    const request = values.get(requestKey) as IncomingMessage
    const deed = await gate.meet(request, name)
    await refuse(deed, gate, request)
    return { name: deed.do === 'flood' ? 'x'.repeat(maxAnswerBytes) : name }
  }
  router.service(ShopService, {
    putItem: echo,
    addItem: echo,
    async *watchItems({ after }, { values, signal }) {
      const request = values.get(requestKey) as IncomingMessage
      const deed = await gate.meet(request, '', after ? String(after) : undefined)
      await refuse(deed, gate, request)
      const last = deed.do === 'drop' ? Number(after) + deed.after : feedLength
      for (let sequence = Number(after) + 1; sequence <= last; sequence++) yield { sequence: BigInt(sequence) }
      // An RST may overtake bytes that the peer has not read yet: wait until they are its own.
      if (deed.do === 'drop') setTimeout(() => request.socket.resetAndDestroy(), 5)
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    },
  })
}

async function refuse(deed: Deed, gate: HttpGate, request: IncomingMessage): Promise<void> {
  if (deed.do === 'keyInFlight')
    throw new ConnectError(serverText, Code.Aborted, { 'grpc-retry-pushback-ms': String(deed.waitMs) })
  if (deed.do === 'throttle')
    throw new ConnectError(serverText, Code.ResourceExhausted, { 'grpc-retry-pushback-ms': String(deed.waitMs) })
  if (deed.do === 'busy') {
    const pushback = { 'grpc-retry-pushback-ms': String(deed.retryAfterS * 1000) }
    throw new ConnectError(serverText, Code.Unavailable, pushback)
  }
  if (deed.do !== 'refuse') return
  if (deed.as === '401') throw new ConnectError(serverText, Code.Unauthenticated)
  const [scheme, status] = deed.as.split(' ')
  if (scheme !== 'HTTP') throw new ConnectError(serverText, Code[deed.as as keyof typeof Code])
  gate.responseTo(request).writeHead(Number(status), { 'content-type': 'text/html' }).end(`<html>${serverText}</html>`)
  await new Promise(() => {})
}

/** A message and the trailers behind it. */
function answer(message: Uint8Array): Uint8Array {
  return Buffer.concat([frame(0, message), frame(0x80, Buffer.from('grpc-status: 0\r\n'))])
}

function frame(flags: number, content: Uint8Array): Uint8Array {
  const prefix = Buffer.alloc(5)
  prefix.writeUInt8(flags, 0)
  prefix.writeUInt32BE(content.length, 1)
  return Buffer.concat([prefix, content])
}
