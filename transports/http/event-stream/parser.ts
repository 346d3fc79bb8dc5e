/** A block of lines that has data. */
export interface ParsedBlock {
  readonly event?: string | undefined
  readonly data: string
  readonly id?: string | undefined
}

/** Who is told of what stands in an event stream, and how much of it may be kept: as eventsource-parser has it. */
export interface ParserOptions {
  onEvent(block: ParsedBlock): void
  onId(id: string): void
  onRetry(ms: number): void
  onComment(text: string): void
  onError(error: { readonly type: string }): void
  readonly maxBufferSize: number
}

const fields = ['data:', 'event:', 'id:', 'retry:']

/** Whether a line that has no end yet may be one that says something: others are not kept. */
function maySay(head: string): boolean {
  return head[0] === ':' || fields.some((field) => field.startsWith(head.slice(0, field.length)))
}

/** Reads whole lines into blocks; gives how much data the block under way holds. */
function blockReader(options: ParserOptions): (line: string) => number {
  let data: string | undefined
  let event: string | undefined
  let id: string | undefined
  return (line) => {
    const colon = line.indexOf(':')
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (line === '') {
      if (id !== undefined) options.onId(id)
      if (data !== undefined) options.onEvent({ id, event, data })
      data = event = id = undefined
    } else if (colon === 0) options.onComment(value)
    else if (name === 'data') data = data === undefined ? value : `${data}\n${value}`
    else if (name === 'event') event = value || undefined
    else if (name === 'id' && !value.includes('\0')) id = value
    else if (name === 'retry' && /^\d+$/.test(value)) options.onRetry(Number(value))
    return data?.length ?? 0
  }
}

/**
 * A parser of event streams (WHATWG HTML §9.2.6) for browsers: what eventsource-parser does in Node, in a third of its
 * bytes, by the same tests. It takes no byte order mark away.
 */
export function createParser(options: ParserOptions): { feed(text: string): void } {
  const read = blockReader(options)
  /** The pieces of a line without an end, and their length; nothing of a line that says nothing. */
  let pieces: string[] = []
  let size = 0
  let dataSize = 0
  let isSkipping = false
  let isAfterCr = false
  let isOver = false

  const forget = (isSkipped: boolean): void => {
    pieces = []
    size = 0
    isSkipping = isSkipped
  }
  const check = (): void => {
    if (isOver || size + dataSize <= options.maxBufferSize) return
    isOver = true
    options.onError({ type: 'max-buffer-size-exceeded' })
  }

  return {
    feed(text) {
      const lines = (isAfterCr && text[0] === '\n' ? text.slice(1) : text).split(/\r\n|\r|\n/)
      if (text !== '') isAfterCr = text.endsWith('\r')
      const rest = lines.pop() as string
      for (const line of lines) {
        if (isOver) return
        if (!isSkipping) dataSize = read(pieces.length > 0 ? pieces.join('') + line : line)
        forget(false)
        check()
      }
      if (rest === '' || isSkipping || isOver) return
      if (size < 6 && !maySay(pieces.join('') + rest)) forget(true)
      else {
        pieces.push(rest)
        size += rest.length
        check()
      }
    },
  }
}
