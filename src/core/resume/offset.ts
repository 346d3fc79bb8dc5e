/** A cursor that is a number in a history. */
export interface Offset {
  readonly epoch: string
  readonly offset: number
  readonly text: string
}

/** A safe integer behind an optional `epoch:`; anything else is no offset. */
export function readOffset(text: string): Offset | undefined {
  const colon = text.lastIndexOf(':')
  const digits = text.slice(colon + 1)
  const offset = Number(digits)
  const isOffset = digits !== '' && Number.isSafeInteger(offset) && offset >= 0
  return isOffset ? { epoch: text.slice(0, Math.max(colon, 0)), offset, text } : undefined
}
