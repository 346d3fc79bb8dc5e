import { describe, expect, it } from 'vitest'
import { snapshot } from '../../../src/core/call/snapshot.ts'

describe('what was passed', () => {
  it('is plain objects, lists and dates as they are now, however deep', () => {
    const at = new Date(0)
    const value = { a: 1, list: [{ b: 2 }, [3]], at, none: null, missing: undefined }
    const kept = snapshot(value)
    value.a = 9
    ;(value.list[0] as { b: number }).b = 9
    ;(value.list[1] as number[]).push(9)
    at.setTime(1)
    expect(kept).toEqual({ a: 1, list: [{ b: 2 }, [3]], at: new Date(0), none: null, missing: undefined })
    expect(Object.keys(kept as object)).toContain('missing')
  })

  it.each([
    ['a Uint8Array', () => Uint8Array.of(1, 2, 3)],
    ['part of a buffer', () => Uint8Array.of(0, 1, 2, 3, 4).subarray(1, 4)],
    ['a Buffer', () => Buffer.from([1, 2, 3])],
    ['a DataView', () => new DataView(Uint8Array.of(1, 2, 3).buffer)],
    ['an ArrayBuffer', () => Uint8Array.of(1, 2, 3).buffer],
  ])('is the bytes of %s', (_, make) => {
    const bytes = make()
    const kept = (snapshot({ bytes }) as { bytes: ArrayBufferView | ArrayBuffer }).bytes
    const memory = (value: ArrayBufferView | ArrayBuffer) =>
      ArrayBuffer.isView(value)
        ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
        : new Uint8Array(value)
    memory(bytes).fill(9)
    expect([...memory(kept)]).toEqual([1, 2, 3])
  })

  it('is the fields of forms and parameters', () => {
    const form = new FormData()
    form.append('a', '1')
    form.append('file', new Blob(['x']), 'x.txt')
    const params = new URLSearchParams({ a: '1' })
    const kept = snapshot([form, params]) as [FormData, URLSearchParams]
    form.append('a', '2')
    params.append('a', '2')
    expect(kept[0].getAll('a')).toEqual(['1'])
    expect((kept[0].get('file') as File).name).toBe('x.txt')
    expect(String(kept[1])).toBe('a=1')
  })

  it('leaves alone what cannot be copied, and circles', () => {
    class Money {
      amount = 1
    }
    const parts = {
      blob: new Blob(['x']),
      money: new Money(),
      stream: new ReadableStream(),
      make: () => 1,
      map: new Map(),
    }
    const kept = snapshot(parts) as typeof parts
    for (const [name, part] of Object.entries(parts)) expect(kept[name as 'blob']).toBe(part)
    const circle: { self?: unknown; list: unknown[] } = { list: [] }
    circle.self = circle
    circle.list.push(circle)
    expect(() => JSON.stringify(snapshot(circle))).toThrow('circular')
  })

  it('keeps a member called __proto__ one', () => {
    const value = JSON.parse('{"__proto__": {"a": 1}, "b": {"c": 1}}')
    expect(JSON.stringify(snapshot(value))).toBe(JSON.stringify(value))
  })
})
