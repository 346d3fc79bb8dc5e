import type { CallOptions } from '../../../src/core/call/call-options.ts'
import type { UnaryResult } from '../../../src/core/call/call-types.ts'
import { createContextKey } from '../../../src/core/call/context.ts'
import type { HeaderMap } from '../../../src/core/call/header-map.ts'
import { type OperationInfo, operationInfo } from '../../../src/core/call/operation.ts'
import { requestBuffered } from '../../http/collect.ts'
import type { HttpEngine } from '../../http/contract.ts'
import { toCallError } from '../../http/fault.ts'
import { pick } from '../../shared/option-rules.ts'
import { mayBeDone } from '../may-be-done.ts'
import { defineRest, type OpenReply, type RestBinding } from '../operation.ts'
import { isReply, readReply, responseError } from '../response.ts'
import { interopVersion } from './ietf.ts'
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
    const info = operationInfo(defineRest('upload', method, path, own, { judge: mayBeDone })) as OperationInfo
    return { ...info, name: `${method} ${path} (upload)` }
  }
  return {
    // A second one that nobody completes does no harm: it expires. One with content may be complete.
    create: by.isOptimistic
      ? heard(make(by.method, { query, retry: false, idempotent: false }))
      : make(by.method, { query, retry, idempotent: true }),
    ask: make('HEAD', { retry }),
    // What was cut goes on where the server says, and is never sent again as it was.
    append: make('PATCH', { retry: false, idempotent: false }),
    discard: make('DELETE', { retry }),
  }
}

/** Who hears of the URL of an upload while its content is sent. */
export const onUploadUrl = /* @__PURE__ */ createContextKey<((url: string) => void) | undefined>(undefined)

/** The same operation, which tells of interim responses. */
function heard(info: OperationInfo): OperationInfo {
  const open: OpenReply = async (engine, request, call, limits) => {
    const tell = call.context.get(onUploadUrl)
    const onInfo = (status: number, headers: HeaderMap): void => {
      const location = headers.last('location')
      const isOurs = status === 104 && headers.last('upload-draft-interop-version') === interopVersion
      if (isOurs && location !== null && URL.canParse(location, request.url))
        tell?.(new URL(location, request.url).href)
    }
    const listening: HttpEngine = {
      name: engine.name,
      send: (sent, sink, scope) => engine.send(sent, Object.assign(sink, { onInfo }), scope),
      close: () => engine.close(),
    }
    try {
      const response = await requestBuffered(listening, request, call.scope, limits)
      if (!isReply(response.status, request)) return await responseError(call, response)
      return readReply(call, request.url, response, undefined)
    } catch (error) {
      throw toCallError(error, call)
    }
  }
  return { ...info, binding: { ...(info.binding as RestBinding), open } }
}
