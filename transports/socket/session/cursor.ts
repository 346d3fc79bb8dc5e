import type { WireCursor } from '../wire-adapter.ts'

const digits = /^\d+$/

/**
 * A place in a channel's history as users see and store it: `42`, `epoch:42`, `epoch:some-id`.
 *
 * An offset is written as digits; an opaque id is written as it is, with a colon before it where it could be taken for
 * something else.
 */
export function encodeCursor({ id, epoch }: WireCursor): string {
  if (typeof id === 'number') return epoch === undefined ? String(id) : `${encodeEpoch(epoch)}:${id}`
  const isPlain = !digits.test(id) && !id.startsWith(':') && (epoch !== undefined || !id.includes(':'))
  const text = isPlain && id !== '' ? id : `:${id}`
  return epoch === undefined ? text : `${encodeEpoch(epoch)}:${text}`
}

/** The other way round. */
export function decodeCursor(cursor: string): WireCursor {
  const colon = cursor.indexOf(':')
  if (colon <= 0) return { id: decodeId(cursor) }
  return { id: decodeId(cursor.slice(colon + 1)), epoch: decodeEpoch(cursor.slice(0, colon)) }
}

function decodeId(text: string): string | number {
  if (text.startsWith(':')) return text.slice(1)
  const offset = Number(text)
  return digits.test(text) && Number.isSafeInteger(offset) ? offset : text
}

/** A colon ends the epoch, so it has none itself. */
function encodeEpoch(epoch: string): string {
  return epoch === '' ? '%' : epoch.replace(/[%:]/g, encodeURIComponent)
}

function decodeEpoch(text: string): string {
  return text === '%' ? '' : text.replace(/%(25|3A)/g, decodeURIComponent)
}
