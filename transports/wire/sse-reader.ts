import type { ServerEvent } from './event-stream.ts'
import type { EventReader } from './sse-batch.ts'
import type { EventsSpec } from './sse-types.ts'

/** What the events of an operation mean: which are given, how their data is read, which one is the last. */
export function makeReader(map: object, { data = 'json', undeclared = 'skip', until }: EventsSpec): EventReader {
  const names = new Set(Object.keys(map))
  const read = data === 'text' ? asText : asJson
  const readUndeclared =
    undeclared === 'yield'
      ? (event: ServerEvent) => ({ ...leniently(event, data), isUndeclared: true })
      : () => undefined
  const reader: EventReader = { read: (event) => (names.has(event.type) ? read(event) : readUndeclared(event)) }
  if (until === undefined) return reader
  if (typeof until === 'function') return { ...reader, lastness: (event) => (until(event) ? 'drop' : undefined) }
  const lastness = names.has(until) ? 'deliver' : 'drop'
  return { ...reader, lastness: (event) => (event.type === until ? lastness : undefined) }
}

function asText(event: ServerEvent): object {
  return event
}

/** Some servers send an event for its name alone. */
function asJson({ type, data, id }: ServerEvent): object {
  const value = data === '' ? undefined : (JSON.parse(data) as unknown)
  return id === undefined ? { type, data: value } : { type, data: value, id }
}

/** Nobody has said what the data of an undeclared event is. */
function leniently(event: ServerEvent, data: EventsSpec['data']): object {
  try {
    return data === 'text' ? event : asJson(event)
  } catch {
    return event
  }
}
