import { refusal } from '../../src/core/errors/refusal.ts'
import { guard } from '../../src/core/guard.ts'
import { isObject } from '../../src/core/tag.ts'
import { bodyKind } from '../http/bytes.ts'
import { encodeBody } from '../http/encode-body.ts'
import { multipartOf } from '../http/multipart.ts'
import { reportProgress } from '../http/progress.ts'
import type { HttpGraphQLTransport } from './exchange.ts'
import { type Ask, type Asked, bodyOf, Feature, type GraphQLFeature } from './feature.ts'
import { preflightName } from './get-queries.ts'
import { onceOnly } from './operation.ts'

/**
 * Sends files among the variables, at any depth, by the multipart request specification: Blob, File, bytes, or
 * `{ content, filename, type, length }` of one of them, where `content` may also be a stream, or a function that makes one for each
 * attempt (on a page by `streamBody()`). The server must take it (yoga does; Apollo Server and Mercurius by `graphql-upload`).
 *
 * Source: https://github.com/jaydenseric/graphql-multipart-request-spec
 *
 * @example
 * graphqlTransport({ url, features: [fileUploads()] })
 * await api.setAvatar({ input: { avatar: file } })
 */
export function fileUploads(): GraphQLFeature {
  return new FileUploads()
}

const unsendable = {
  code: 'invalid_argument',
  message: 'a file of the variables cannot be sent: see cause; nothing was sent',
} as const

const unreadable = {
  code: 'invalid_argument',
  message: 'the variables cannot be read: see cause; nothing was sent',
} as const

class FileUploads extends Feature {
  readonly kind = 'uploads'

  override needsHttp(asked: Asked): boolean {
    return extractFiles(asked).files.size > 0
  }

  wrap(next: Ask, http: HttpGraphQLTransport): Ask {
    return async (asked) => {
      const { variables, files } = extractFiles(asked)
      if (files.size === 0) return next(asked)
      const { call } = asked
      const operations = bodyOf({ ...asked, members: { ...asked.members, variables } })
      const rules = { contentType: undefined, codecs: {}, queryStyle: undefined }
      const { contentType, length, isReplayable, ...sent } = encodeBody(
        guard('a file of the variables', () => formOf(operations, files), call, unsendable),
        rules,
        call,
      )
      if (!isReplayable) onceOnly.add(call.input as object)
      const { onUploadProgress } = call.options
      return http.request(call, {
        ...sent,
        isBodyReplayable: isReplayable,
        headers: {
          ...http.makeHeaders(call),
          'content-type': contentType as string,
          ...(length !== undefined && { 'content-length': String(length) }),
          [preflightName]: 'true',
        },
        onUploadProgress: onUploadProgress && ((bytes) => reportProgress(call, 'onUploadProgress', bytes, length)),
      })
    }
  }
}

/** Files by where they stand, each once however often it is named. */
export type FilesByPath = ReadonlyMap<unknown, readonly string[]>

/**
 * The variables with `null` in the place of each file.
 *
 * @throws {CallError} `invalid_argument` where a path cannot be written: its names are joined by dots; where they cannot be read.
 */
export function extractFiles({ call, members }: Pick<Asked, 'call' | 'members'>): {
  readonly variables: unknown
  readonly files: FilesByPath
} {
  const files = new Map<unknown, string[]>()
  let found = 0
  const visit = (value: unknown, path: string, above: readonly unknown[]): unknown => {
    if (isFile(value)) {
      found++
      files.set(value, [...(files.get(value) ?? []), path])
      return null
    }
    const isPlain = Object.prototype.toString.call(value) === '[object Object]' || Array.isArray(value)
    // A circle is refused where it is written.
    if (!isPlain || above.includes(value) || typeof (value as { toJSON?: unknown }).toJSON === 'function') return value
    const before = found
    const entries = Object.entries(value as object).map(([name, member]) => {
      const known = found
      const visited = visit(member, `${path}.${name}`, [...above, value])
      if (found > known && name.includes('.'))
        throw refusal('a file stands under a name with a dot, which the multipart request cannot tell', call)
      return [name, visited] as const
    })
    // What holds no file is left as it is.
    if (found === before) return value
    return Array.isArray(value) ? entries.map(([, each]) => each) : Object.fromEntries(entries)
  }
  const variables = guard('the variables', () => visit(members.variables, 'variables', []), call, unreadable)
  return { variables, files }
}

function isFile(value: unknown): boolean {
  const kind = bodyKind(value)
  if (kind === 'blob' || kind === 'bytes' || kind === 'stream') return true
  if (kind !== undefined || !isObject(value) || !('content' in value)) return false
  const { content, filename: _name, type: _type, length: _length, ...others } = value as Record<string, unknown>
  // A text is no file: it may be what an input calls its content.
  return Object.keys(others).length === 0 && /^(?:blob|bytes|stream|factory)$/.test(bodyKind(content) ?? '')
}

/** The order is the specification's: operations, map, files. */
function formOf(operations: string, files: FilesByPath): unknown {
  const entries = [...files].map(([file, paths], index) => ({ name: String(index), file, paths }))
  const map = JSON.stringify(Object.fromEntries(entries.map(({ name, paths }) => [name, paths])))
  const parts = entries.map(({ name, file }) => [name, file] as const)
  return multipartOf([['operations', operations], ['map', map], ...parts])
}
