import { toEvent } from '../http/event-stream/event-stream.ts'
import type { EventReader } from './batch.ts'
import type { EventsSpec } from './types.ts'

type Read = EventReader['read']

/** What the events of an operation mean: which are given, how their data is read, which one is the last. */
export function makeReader(map: object, { data = 'json', undeclared = 'skip', until }: EventsSpec): EventReader {
  const names = new Set(Object.keys(map))
  const only = names.size === 1 ? [...names][0] : undefined
  const declared: Read = data === 'text' ? toEvent : asJson
  const read: Read =
    undeclared === 'skip'
      ? (type, data, id) => (type === only || names.has(type) ? declared(type, data, id) : undefined)
      : (type, text, id) => (names.has(type) ? declared(type, text, id) : leniently(declared, type, text, id))
  if (until === undefined) return { read }
  if (typeof until === 'function')
    return { read, lastness: (type, data, id) => (until(toEvent(type, data, id)) ? 'drop' : undefined) }
  const lastness = names.has(until) ? 'deliver' : 'drop'
  return { read, lastness: (type) => (type === until ? lastness : undefined) }
}

/** Some servers send an event for its name alone. */
const asJson: Read = (type, data, id) => toEvent(type, data === '' ? undefined : (JSON.parse(data) as unknown), id)

/** Nobody has said what the data of an undeclared event is. */
function leniently(read: Read, type: string, data: string, id: string | undefined): object {
  const isUndeclared = { isUndeclared: true }
  try {
    return { ...(read(type, data, id) as object), ...isUndeclared }
  } catch {
    return { ...toEvent(type, data, id), ...isUndeclared }
  }
}
