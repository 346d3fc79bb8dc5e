import { deref, type Json } from './document.ts'

/** What is wrong with a value by its schema: the first fault found. As much of JSON Schema as descriptions use. */
export function faultOf(document: Json, given: Json | undefined, value: unknown, at = ''): string | undefined {
  const schema = deref(document, given)
  const where = at === '' ? 'the value' : at
  if (value === null && (schema.nullable || [schema.type].flat().includes('null'))) return undefined
  if (schema.enum && !schema.enum.includes(value)) return `${where} is none of the enum`
  for (const part of schema.allOf ?? []) {
    const fault = faultOf(document, part, value, at)
    if (fault) return fault
  }
  const either = schema.oneOf ?? schema.anyOf
  if (either) {
    const faults = either.map((part: Json) => faultOf(document, part, value, at))
    if (faults.every(Boolean)) return faults[0]
  }
  const types = [schema.type].flat().filter((type): type is string => type !== undefined)
  if (types.length > 0 && !types.some((type) => isOfType(type, value))) return `${where} is no ${types.join(' or ')}`
  if (Array.isArray(value)) {
    if (schema.minItems > value.length) return `${where} has too few items`
    return first(value.map((item, index) => schema.items && faultOf(document, schema.items, item, `${at}/${index}`)))
  }
  if (typeof value !== 'object' || value === null) return undefined
  const missing = (schema.required ?? []).find((name: string) => !Object.hasOwn(value, name))
  if (missing) return `${at}/${missing} is missing`
  return first(
    Object.entries(value).map(([name, member]) => {
      const property = schema.properties?.[name]
      if (property) return faultOf(document, property, member, `${at}/${name}`)
      if (schema.additionalProperties === false && !schema.allOf) return `${at}/${name} is not described`
      return typeof schema.additionalProperties === 'object'
        ? faultOf(document, schema.additionalProperties, member, `${at}/${name}`)
        : undefined
    }),
  )
}

const first = (faults: readonly (string | undefined)[]): string | undefined =>
  faults.find((fault) => fault !== undefined)

function isOfType(type: string, value: unknown): boolean {
  if (type === 'array') return Array.isArray(value)
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value)
  if (type === 'integer') return Number.isInteger(value)
  if (type === 'null') return value === null
  return typeof value === type
}

/** Texts of a query or form as values of the schema's types, as a server reads them. */
export function coerce(document: Json, given: Json | undefined, value: unknown): unknown {
  const schema = deref(document, given)
  const parts: Json[] = schema.oneOf ?? schema.anyOf ?? []
  for (const part of parts) {
    const coerced = coerce(document, part, value)
    if (faultOf(document, part, coerced) === undefined) return coerced
  }
  const types = [schema.type].flat()
  if (typeof value === 'string') {
    if (
      types.some((type) => type === 'integer' || type === 'number') &&
      value.trim() !== '' &&
      !Number.isNaN(Number(value))
    )
      return Number(value)
    if (types.includes('boolean') && (value === 'true' || value === 'false')) return value === 'true'
    if (schema.enum) return schema.enum.find((each: unknown) => String(each) === value) ?? value
    return value
  }
  if (Array.isArray(value)) return value.map((item) => coerce(document, schema.items, item))
  if (typeof value !== 'object' || value === null) return value
  const all = [schema, ...(schema.allOf ?? []).map((part: Json) => deref(document, part))]
  const free = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => {
      const property = all.map((part) => part.properties?.[name]).find(Boolean) ?? free
      return [name, property ? coerce(document, property, member) : member]
    }),
  )
}
