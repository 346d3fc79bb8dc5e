import type { CallOptions } from '../../../src/core/call/call-options.ts'
import type { UnaryResult } from '../../../src/core/call/call-types.ts'
import { type OperationInfo, operationInfo } from '../../../src/core/call/operation.ts'
import { pick } from '../../shared/option-rules.ts'
import { defineRest } from '../operation.ts'
import type { UploadSpec } from './types.ts'

/** Sends one request of an upload through the whole chain. */
export type Send = (input: unknown, options?: CallOptions) => Promise<UnaryResult<unknown>>

/** The requests that an upload consists of: operations of their own, each with its place in budget and waits. */
export interface UploadRequests<T> {
  readonly create: T
  readonly ask: T
  readonly append: T
  readonly discard: T
}

/** Makes the operations of one declaration. */
export function uploadRequests(path: string, spec: UploadSpec): UploadRequests<OperationInfo> {
  const { by, query, retry } = spec
  const make = (method: string, more: object): OperationInfo => {
    const own = { ...pick(spec, ['via', 'auth']), shape: 'nested', idempotency: false, ...more } as const
    const info = operationInfo(defineRest('upload', method, path, own)) as OperationInfo
    return { ...info, name: `${method} ${path} (upload)` }
  }
  return {
    // A second one that nobody completes does no harm: it expires.
    create: make(by.method, { query, retry, idempotent: true }),
    ask: make('HEAD', { retry }),
    // What was cut goes on where the server says, and is never sent again as it was.
    append: make('PATCH', { retry: false, idempotent: false }),
    discard: make('DELETE', { retry }),
  }
}
