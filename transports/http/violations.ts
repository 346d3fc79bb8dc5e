import type { Violation } from '../../src/core/errors/failure.ts'
import { isRecord } from '../../src/core/tag.ts'

type Entry = Readonly<Record<string, unknown>>

/** What servers call the field of an entry, and what they say of it; the first that there is counts. */
const fieldNames = [
  'field',
  'name',
  'param',
  'property',
  'propertyPath',
  'path',
  'pointer',
  'target',
  'loc',
  'instancePath',
]
const messageNames = ['message', 'detail', 'description', 'reason', 'msg', 'defaultMessage', 'title', 'code']
/** Messages under these names are about no field of their own: Django's, Rails'. */
const whole = /^(?:non_field_errors|__all__|base)$/
/** How class-validator begins: the property, then what must be true of it. */
const named = /^(?:each value in |nested property |property )?([\w.[\]-]+) (?:must|should|contains|has)\b/
/** Deeper than any form goes. */
const maxDepth = 8

/**
 * What fields a server refused, whatever it calls them: a list of entries with a field and a message, or an object of
 * messages by field, as deep as the input is. Anything that is not wholly of one of these forms is something else.
 *
 * @param areTexts - in an object, a bare sentence counts, too, not only a list of them.
 */
export function readViolations(value: unknown, areTexts = true): readonly Violation[] | undefined {
  const found: Violation[] = []
  if (!Array.isArray(value)) return addRecord(value, '', areTexts, found) && found.length > 0 ? found : undefined
  for (const each of value) addEntry(each, found)
  return found.length > 0 ? found : undefined
}

/** Sentences that begin with the field they are about: Nest's. */
export function readSentences(value: unknown): readonly Violation[] | undefined {
  if (!Array.isArray(value) || value.length === 0 || !value.every(isText)) return undefined
  return value.map((message) => ({ field: named.exec(message)?.[1] ?? '', message }))
}

function addEntry(entry: unknown, found: Violation[]): void {
  // GraphQL's paths are those of the answer.
  if (!isRecord(entry) || 'locations' in entry || 'extensions' in entry) return
  const message = messageNames.map((name) => entry[name]).find(isText)
  if (message === undefined) return
  // Salesforce names several fields in one entry.
  const fields = Array.isArray(entry.fields) ? entry.fields.filter(isText) : [fieldOf(entry)]
  for (const field of fields) if (field !== undefined) found.push({ field, message })
}

function fieldOf(entry: Entry): string | undefined {
  const { source, params, location, locationType } = entry
  const own = fieldNames.map((name) => entry[name]).find((each) => each !== undefined && each !== null)
  const pointed = isRecord(source) ? (source.pointer ?? source.parameter) : undefined
  const place = own ?? pointed ?? (locationType === 'parameter' ? location : undefined)
  // Ajv tells what is missing beside the place where it is missing.
  const missing = isRecord(params) && isText(params.missingProperty) ? params.missingProperty : undefined
  if (Array.isArray(place)) return place.filter((part) => isText(part) || typeof part === 'number').join('.')
  // The name of an error class is no field.
  if (!isText(place) || (place === entry.name && /(?:Error|Exception)$/.test(place))) return undefined
  return [fromPointer(place), missing].filter(Boolean).join('.')
}

/** `{ email: ['is taken'], address: { zip: ['is odd'] }, items: [{}, { id: ['is none'] }] }`; false where it is none of these. */
function addRecord(record: unknown, path: string, areTexts: boolean, found: Violation[], depth = 0): boolean {
  if (!isRecord(record) || depth > maxDepth) return false
  return Object.entries(record).every(([name, value]) => {
    const own = whole.test(name) ? path : path === '' ? fromPointer(name.replace(/^\$\.?/, '')) : `${path}.${name}`
    const messages = areTexts && isText(value) && value.includes(' ') ? [value] : value
    if (!Array.isArray(messages)) return addRecord(messages, own, areTexts, found, depth + 1)
    if (messages.every(isText)) {
      for (const message of messages) found.push({ field: own, message })
      return messages.length > 0
    }
    return messages.every((each, index) => addRecord(each, `${own}.${index}`, areTexts, found, depth + 1))
  })
}

/** `#/items/0/name` → `items.0.name` (RFC 6901); other names stay as they are. */
function fromPointer(field: string): string {
  if (!/^#?\//.test(field)) return field
  const parts = field.replace(/^#?\//, '').split('/')
  return parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~')).join('.')
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}
