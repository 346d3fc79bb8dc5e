import { defineOperation, type OperationInfo } from '../../../src/core/call/operation.ts'
import { checking } from '../../../src/core/call/schema.ts'
import type { Services } from '../../../src/core/call/scope.ts'
import {
  aboveZero,
  count,
  has,
  notNegative,
  type OptionRules,
  object,
  oneOf,
  takes,
  wrongOption,
} from '../../../src/core/options.ts'
import { PathTemplate } from '../../http/path.ts'
import { operationRules, schemaRule } from '../../shared/option-rules.ts'
import type { UploadPlan } from './remote.ts'
import { uploadRequests } from './requests.ts'
import { UploadRun } from './run.ts'
import type { UploadBuilder, UploadCall, UploadInput, UploadSpec } from './types.ts'

/**
 * Declares an upload that goes on after whatever breaks it: a cut, a killed server, a pause, another process. Each of its
 * requests takes the whole chain (auth, retries, deadline, telemetry), and no byte that the server has is sent again.
 *
 * @param path - of the request that creates an upload.
 * @throws {TypeError} where the declaration itself is wrong.
 * @example
 * const api = client.bind({ store: upload('/albums/{album}', { by: tusUploads() }) })
 * const { url } = await api.store({ album: 7, source: file })
 * const handle = api.store.start({ album: 7, source: file })
 * for await (const { transferredBytes } of handle.progress) localStorage.upload = JSON.stringify(handle)
 */
export const upload: UploadBuilder = (path, spec) => {
  const { names } = new PathTemplate(path)
  checkUpload(path, names, spec)
  const { via = 'rest', output, auth, validate } = spec
  const requests = uploadRequests(path, spec)
  const info: OperationInfo = {
    name: `${spec.by.method} ${path} (upload)`,
    protocol: 'rest',
    via,
    kind: 'unary',
    isIdempotent: false,
    binding: undefined,
    others: Object.values(requests),
    auth,
    validate,
    decodeOutput: checking(output),
    makeCallable: (services) => uploadCallable({ info, spec, names, requests, services }),
  }
  return defineOperation(info)
}

/** What users call: each time with a run of its own. */
function uploadCallable(
  plan: Omit<UploadPlan, 'services'> & { readonly services: Services },
): UploadCall<UploadInput, unknown> {
  const start: UploadCall<UploadInput, unknown>['start'] = (input, options) => new UploadRun(plan, { input, options })
  return Object.assign((...args: Parameters<typeof start>) => start(...args).result(), {
    start,
    revive: ((state, source, options) => new UploadRun(plan, { state, source, options })) as UploadCall<
      UploadInput,
      unknown
    >['revive'],
  })
}

const rules = (): OptionRules => ({
  ...operationRules,
  by: takes('tusUploads() or ietfUploads()', has('append')),
  query: schemaRule,
  output: schemaRule,
  chunkBytes: aboveZero,
  resume: object('an object such as { maxAttempts: 20 }', {
    baseDelayMs: notNegative,
    maxDelayMs: notNegative,
    maxAttempts: count,
    stableMs: notNegative,
  }),
  idleTimeoutMs: aboveZero,
  lost: oneOf('restart', 'fail'),
})

/** @throws {TypeError} naming the path and the member to change. */
function checkUpload(path: string, names: readonly string[], spec: UploadSpec): void {
  const taken = names.find((name) => ['source', 'totalBytes', 'metadata'].includes(name))
  const wrong =
    wrongOption(spec, rules()) ??
    (spec.by === undefined ? 'by is missing: tusUploads() or ietfUploads()' : undefined) ??
    (taken && `'${taken}' is taken by uploads: call the parameter otherwise`)
  if (wrong) throw new TypeError(`upload('${path}', …): ${wrong}`)
}
