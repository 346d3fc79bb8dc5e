import { isCallError } from 'polywire'
import { describe, expect, it } from 'vitest'
import { stringifyJson } from '../../../transports/shared/json.ts'

function refusedOf(value: unknown): string {
  try {
    stringifyJson(value, 'the body', undefined)
  } catch (error) {
    if (isCallError(error) && error.code === 'invalid_argument' && error.sent === 'no') return error.message
    throw error
  }
  return 'nothing was refused'
}

describe('what JSON would lose is refused, and its path named', () => {
  it.each<[string, unknown, string, string]>([
    ['a File', { avatar: new File(['x'], 'a.png') }, "'avatar'", 'File'],
    [
      'a File with what react-dropzone adds to it',
      { a: [{ file: Object.assign(new File(['x'], 'a.png'), { path: './canary', preview: 'canary' }) }] },
      "'a.0.file'",
      'File',
    ],
    [
      'a File with what antd adds to it',
      { file: Object.assign(new File(['x'], 'a'), { uid: 'canary' }) },
      "'file'",
      'File',
    ],
    ['a Blob in a list', { files: [1, new Blob(['x'])] }, "'files.1'", 'Blob'],
    ['a Map', { a: { b: new Map([['k', 1]]) } }, "'a.b'", 'Map'],
    ['an empty Set', { tags: new Set() }, "'tags'", 'Set'],
    ['a typed array', { a: { bytes: Uint8Array.of(1, 2) } }, "'a.bytes'", 'Uint8Array'],
    ['an empty typed array', { bytes: new Float32Array(0) }, "'bytes'", 'Float32Array'],
    ['big integers of a typed array', [{ n: BigInt64Array.of(1n) }], "'0.n'", 'BigInt64Array'],
    ['a Buffer', { bytes: Buffer.from('canary') }, "'bytes'", 'Uint8Array'],
    ['an ArrayBuffer', { bytes: new ArrayBuffer(3) }, "'bytes'", 'ArrayBuffer'],
    ['a DataView', { bytes: new DataView(new ArrayBuffer(3)) }, "'bytes'", 'DataView'],
    ['URLSearchParams', { q: new URLSearchParams('a=canary') }, "'q'", 'URLSearchParams'],
    ['FormData', { form: new FormData() }, "'form'", 'FormData'],
    ['a promise', { user: Promise.resolve('canary') }, "'user'", 'Promise'],
    ['a stream', { body: new ReadableStream() }, "'body'", 'stream'],
    ['an async generator', { body: (async function* () {})() }, "'body'", 'stream'],
    ['an Error', { error: new Error('canary') }, "'error'", 'Error'],
    ['what toJSON gives', { at: { toJSON: () => ({ seen: new Set(['canary']) }) } }, "'at.seen'", 'Set'],
    ['a BigInt', { a: { id: 7n } }, "'a.id'", 'BigInt'],
    ['the whole', new Map([['canary', 1]]), 'the body', 'Map'],
  ])('%s', (_, value, path, kind) => {
    const message = refusedOf(value)
    expect(message).toContain(path)
    expect(message).toContain(kind)
    expect(message).not.toContain('canary')
  })

  it('a circle, wherever it begins', () => {
    const circle: Record<string, unknown> = { a: {} }
    circle.a = { b: [circle] }
    expect(refusedOf({ x: circle })).toContain("'x.a.b.0'")
  })
})

describe('what JSON carries is written', () => {
  class Point {
    x = 1
    readonly #hidden = 2
    get sum() {
      return this.x + this.#hidden
    }
  }
  class Empty {}
  it.each<[string, unknown, string]>([
    ['an empty object', { a: {} }, '{"a":{}}'],
    [
      'names that a File is known by',
      [{ path: '/' }, { uid: 1 }, { preview: {} }],
      '[{"path":"/"},{"uid":1},{"preview":{}}]',
    ],
    ['a text with braces', { a: '{}', b: '{"0":1}' }, '{"a":"{}","b":"{\\"0\\":1}"}'],
    ['numbers as names', { a: { 0: 'x' } }, '{"a":{"0":"x"}}'],
    ['what says that it is a Buffer', { type: 'Buffer', data: [1] }, '{"type":"Buffer","data":[1]}'],
    ['instances of classes', { p: new Point(), e: new Empty() }, '{"p":{"x":1},"e":{}}'],
    ['no prototype', { a: Object.assign(Object.create(null), { b: {} }) }, '{"a":{"b":{}}}'],
    ['a date beside an empty object', { at: new Date(0), a: {} }, '{"at":"1970-01-01T00:00:00.000Z","a":{}}'],
    ['boxed values', { a: new Boolean(false), b: new String('x'), c: {} }, '{"a":false,"b":"x","c":{}}'],
    ['the same object twice', ((one) => ({ a: one, b: [one] }))({}), '{"a":{},"b":[{}]}'],
    ['undefined and functions, which have no place in JSON', { a: undefined, b: () => 1, c: {} }, '{"c":{}}'],
  ])('%s', (_, value, json) => {
    expect(stringifyJson(value, 'the body', undefined)).toBe(json)
  })

  it('what cannot be read, or is too deep', () => {
    const unreadable = () => {
      throw new Error('canary')
    }
    const deep: Record<string, unknown> = {}
    for (let depth = 0, last = deep; depth < 50_000; depth++) last = last.a = {}
    const values = [
      {
        a: {
          get b() {
            return unreadable()
          },
        },
      },
      { a: new Proxy({}, { get: unreadable, ownKeys: unreadable }) },
      { a: { toJSON: unreadable } },
      deep,
    ]
    for (const value of values)
      expect(refusedOf(value)).toContain('the body cannot be written as application/json: see cause')
  })
})
