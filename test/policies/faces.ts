import type { CallOptions } from 'polywire'
import { fetchFace } from '../conformance/harnesses/fetch.ts'
import { graphql } from '../conformance/harnesses/graphql.ts'
import { grpcWeb } from '../conformance/harnesses/grpc-web.ts'
import { rest } from '../conformance/harnesses/rest.ts'
import { sse } from '../conformance/harnesses/sse.ts'
import { websocket } from '../conformance/harnesses/websocket.ts'
import type { Deed, Harness } from '../conformance/support/harness.ts'
import type { World } from '../conformance/support/world.ts'

/** Each way that a program can take into the chain, with its real server. */
export const faces: Readonly<Record<string, Harness>> = {
  REST: rest,
  GraphQL: graphql,
  'gRPC-Web': grpcWeb('own'),
  'a WebSocket request': websocket,
  'the opening of an event stream': sse,
  fetch: fetchFace,
}

/** One row of the table: what holds, whatever the face. */
export interface Row {
  readonly name: string
  /** Faces that cannot say what the row is about. */
  readonly isFor?: (harness: Harness) => boolean
  readonly run: (harness: Harness) => Promise<void>
}

/** An HTTP answer; of a socket, to its handshake. */
export function answer(status: number, headers: Readonly<Record<string, string>> = {}): Deed {
  return { do: 'answer', status, headers }
}

/** A call that is not idempotent; every face has one. */
export function write({ api }: World, text: string, options?: CallOptions): Promise<string> {
  return Promise.resolve(api.write?.(text, options) ?? Promise.reject(new Error('this face has no write')))
}
