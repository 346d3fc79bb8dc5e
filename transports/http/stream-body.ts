import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { type EncodeStream, streamed } from './bytes.ts'
import { multipart, multipartOf } from './multipart.ts'
import { bodyStream, checkMade, openUpload } from './upload.ts'

/** A stream that was read once is empty, and one that was read in part is not whole: neither is sent. */
function encodeStream(source: object, contentType: string | undefined, origin: ErrorOrigin): ReturnType<EncodeStream> {
  const isFactory = typeof source === 'function'
  try {
    if (!isFactory) checkMade(source)
  } catch (error) {
    throw refusal((error as Error).message, origin)
  }
  // npm's form-data is a Node stream that knows its boundary.
  const own = (source as { getHeaders?(): Record<string, string> }).getHeaders?.()['content-type']
  return {
    body: bodyStream(isFactory ? (source as () => unknown) : () => source),
    open: openUpload,
    contentType: own ?? contentType ?? 'application/octet-stream',
    isReplayable: isFactory,
  }
}

/**
 * A stream as a request's body, or a function that makes one for each attempt. Outside of browsers streams are taken as
 * they are; in browsers, most of which send none, only a program that imports this carries what it takes.
 *
 * @example
 * client.call(store, { params: { name: 'a.bin' }, body: streamBody(() => file.stream()) })
 */
export function streamBody<Source extends object>(source: Source): Source {
  return Object.defineProperty(source, streamed, { value: encodeStream, configurable: true })
}

/** npm's form-data calls itself a FormData, and is an old kind of stream that nothing but Node's own `pipe` reads. */
function encodeForm(form: Iterable<[string, unknown]>, origin: ErrorOrigin): ReturnType<typeof multipartOf> {
  if (typeof form[Symbol.iterator] === 'function') return multipartOf(form)
  const how =
    "pass form.pipe(new PassThrough()) with the header 'content-type' of form.getHeaders(), or the platform's FormData"
  throw refusal(`the body is npm's form-data, which is no FormData: ${how}`, origin)
}

/** What platforms other than browsers write of bodies by themselves. */
export const bodies = { stream: encodeStream, form: encodeForm, multipart }
