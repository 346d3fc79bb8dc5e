import { isObject, tagOf } from '../tag.ts'

/** An input that knows what of it is written already: it copies the rest. */
export interface Sealed {
  /** Named as no member of a user's input is. */
  '~seal'(): void
}

/**
 * What the caller has passed, as it is now: it may change its objects and buffers as soon as the call is made, while a
 * token is awaited or another attempt is under way, and nothing else is sent for that.
 *
 * Plain objects, lists, bytes, dates and forms are copied; what cannot change, or is read only once (Blobs, streams,
 * functions), and instances of other classes stay what they are.
 */
export function snapshot(value: unknown): unknown {
  if (!isObject(value)) return value
  try {
    return copy(value)
  } catch {
    // A circle, a getter that throws: whoever writes it says where it is.
    return value
  }
}

function copy(value: object, around: readonly object[] = []): unknown {
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null && !Array.isArray(value)) return copyOf(value)
  if (around.includes(value)) throw new TypeError('a circle')
  let path: readonly object[] | undefined
  const inside = (item: unknown): unknown => (isObject(item) ? copy(item, (path ??= [...around, value])) : item)
  if (Array.isArray(value)) return value.map(inside)
  const copied: Record<string, unknown> = { ...value }
  for (const name in copied) copied[name] = inside(copied[name])
  return copied
}

type Form = { append(name: string, value: unknown): void } & Iterable<[string, unknown]>
type Viewer = new (bytes: ArrayBufferLike) => ArrayBufferView
type Maker = new (from?: unknown) => Form

function copyOf(value: object): unknown {
  if (ArrayBuffer.isView(value)) {
    const { buffer, byteOffset, byteLength } = value
    const bytes = buffer.slice(byteOffset, byteOffset + byteLength)
    // A Buffer is one of its own kind: what it makes of memory depends on its version.
    return value instanceof Uint8Array ? new Uint8Array(bytes) : new (value.constructor as Viewer)(bytes)
  }
  switch (tagOf(value)) {
    case 'ArrayBuffer':
    case 'SharedArrayBuffer':
      return (value as ArrayBuffer).slice(0)
    case 'Date':
      return new Date(value as Date)
    case 'URLSearchParams':
      return new (value.constructor as Maker)(value)
    case 'FormData': {
      const copy = new (value.constructor as Maker)()
      for (const [name, item] of value as Form) copy.append(name, item)
      return copy
    }
    default:
      return value
  }
}
