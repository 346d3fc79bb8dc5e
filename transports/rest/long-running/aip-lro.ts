import { isRecord } from '../../../src/core/tag.ts'
import { type LroAnswer, type LroDialect, type LroState, Malformed } from './dialect.ts'

/** A resource name, whose parts are no dot segments: `projects/p/operations/42`. */
const resourceName = /^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[\w.~:@!$&'()*+,;=-]+(?:\/[\w.~:@!$&'()*+,;=-]+)*$/

/**
 * Google's dialect (AIP-151): `{ name, done, response | error, metadata }`, asked for at `{baseUrl}/{name}` and given up by
 * `POST {baseUrl}/{name}:cancel`; `metadata` is the progress.
 *
 * @see https://google.aip.dev/151
 */
export function aipLro(): LroDialect {
  return { read }
}

function read({ body, baseUrl, step }: LroAnswer): LroState {
  if (!isRecord(body)) throw new Malformed('this is no google.longrunning.Operation')
  const { name, done, response, error, metadata, status } = body
  const isNamed = typeof name === 'string' && name !== ''
  if (done !== undefined && typeof done !== 'boolean') throw new Malformed("'done' is neither true nor false")
  if (!isNamed && done === undefined) {
    // Some methods answer at once with what they were asked for.
    if (step === 'start' && status === undefined) return { status: 'succeeded', result: { value: body } }
    throw new Malformed("there is neither 'name' nor 'done'")
  }
  if (isNamed && !resourceName.test(name)) throw new Malformed("'name' is no resource name")
  const url = isNamed ? `${baseUrl.replace(/\/+$/, '')}/${name}` : undefined
  const said = { id: isNamed ? name : undefined, url, progress: metadata ?? undefined }
  if (done !== true) return { ...said, status: 'running', cancelUrl: url && `${url}:cancel` }
  if (isRecord(error)) return { ...said, status: error.code === 1 ? 'canceled' : 'failed', error }
  return { ...said, status: 'succeeded', result: { value: response } }
}
