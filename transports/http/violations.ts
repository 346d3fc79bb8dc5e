import type { Violation } from '../../src/core/errors/failure.ts'

type Entry = Readonly<Record<string, unknown>>

/**
 * What fields a server refused, whatever it calls them: a list of `{ field, message }` (also `name`, `path`, `param`,
 * `pointer`, `loc`, `source.pointer`; `detail`, `description`, `reason`, `msg`), or an object of messages by field.
 */
export function readViolations(value: unknown): readonly Violation[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  return Array.isArray(value) ? fromList(value) : fromRecord(value as Entry)
}

function fromList(list: readonly unknown[]): readonly Violation[] | undefined {
  const found = list.flatMap((each) => {
    if (typeof each !== 'object' || each === null) return []
    const field = fieldOf(each as Entry)
    const message = messageOf(each as Entry)
    return field === undefined || message === undefined ? [] : [{ field, message }]
  })
  return found.length > 0 ? found : undefined
}

/** `{ email: 'is taken' }`, `{ email: ['is taken', 'is odd'] }`; any other value says that this is something else. */
function fromRecord(record: Entry): readonly Violation[] | undefined {
  const found: Violation[] = []
  for (const [field, value] of Object.entries(record)) {
    const messages = Array.isArray(value) ? value : [value]
    if (messages.length === 0 || !messages.every((message) => typeof message === 'string')) return undefined
    for (const message of messages) found.push({ field, message })
  }
  return found.length > 0 ? found : undefined
}

function fieldOf({
  field,
  name,
  param,
  path,
  pointer,
  loc,
  source,
  instancePath,
  property,
  propertyPath,
}: Entry): string | undefined {
  const given =
    field ??
    name ??
    param ??
    property ??
    propertyPath ??
    path ??
    pointer ??
    (source as Entry | undefined)?.pointer ??
    (source as Entry | undefined)?.parameter ??
    loc ??
    instancePath
  if (Array.isArray(given)) return given.map(String).join('.')
  return typeof given === 'string' ? fromPointer(given) : undefined
}

function messageOf({ message, detail, description, reason, msg, title, code }: Entry): string | undefined {
  return [message, detail, description, reason, msg, title, code].find(
    (each): each is string => typeof each === 'string',
  )
}

/** `#/items/0/name` → `items.0.name` (RFC 6901); other names stay as they are. */
function fromPointer(field: string): string {
  if (!/^#?\//.test(field)) return field
  return field
    .replace(/^#?\//, '')
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .join('.')
}
