import { deref, type Json } from './document.ts'

/** Values that a schema allows, by a seed. */
export class Samples {
  readonly #document: Json
  #state: number

  constructor(document: Json, seed: number) {
    this.#document = document
    this.#state = seed >>> 0 || 1
  }

  random(): number {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    this.#state >>>= 0
    return this.#state / 2 ** 32
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.random() * from.length)] as T
  }

  /** @param depth - deep inside only what is required is given: descriptions refer to themselves. */
  value(given: Json | undefined, depth = 0): unknown {
    const schema = deref(this.#document, given)
    if (schema.const !== undefined) return schema.const
    if (schema.enum) return this.pick(schema.enum.filter((each: unknown) => each !== null && each !== '')) ?? ''
    if (schema.allOf) return this.#allOf(schema, depth)
    const either = schema.oneOf ?? schema.anyOf
    if (either && !schema.properties) return this.value(this.#simplest(either, depth), depth)
    return this.#byType(
      schema,
      [schema.type].flat().find((type) => type !== 'null'),
      depth,
    )
  }

  #simplest(either: readonly Json[], depth: number): Json {
    if (depth < 3) return this.pick(either)
    return (
      either.find((each) => !['object', 'array', undefined].includes(deref(this.#document, each).type)) ??
      (either[0] as Json)
    )
  }

  /** All parts in one; where the parts are no objects, the first that says something. */
  #allOf(schema: Json, depth: number): unknown {
    const parts: readonly Json[] = [{ ...schema, allOf: undefined }, ...schema.allOf].map((part) =>
      deref(this.#document, part),
    )
    const inner = parts.flatMap((part) => (part.allOf ? [part, ...this.#inner(part)] : [part]))
    if (inner.some((part) => part.properties)) {
      const properties = Object.assign({}, ...inner.map((part) => part.properties))
      const required = inner.flatMap((part) => part.required ?? [])
      const either = inner.map((part) => part.oneOf ?? part.anyOf).find(Boolean)
      return this.#object({ properties, required, ...(either && { oneOf: either }) }, depth)
    }
    return this.value(parts.find((part) => part.type ?? part.enum ?? part.oneOf ?? part.anyOf) ?? {}, depth)
  }

  #inner(schema: Json): Json[] {
    return schema.allOf.flatMap((part: Json) => {
      const found = deref(this.#document, part)
      return found.allOf ? [found, ...this.#inner(found)] : [found]
    })
  }

  #byType(schema: Json, type: string | undefined, depth: number): unknown {
    switch (type ?? (schema.properties || schema.additionalProperties ? 'object' : schema.items ? 'array' : 'string')) {
      case 'integer':
        return Math.max(schema.minimum ?? 1, Math.min(schema.maximum ?? 1e6, 1 + Math.floor(this.random() * 999)))
      case 'number':
        return Math.max(schema.minimum ?? 1, Math.min(schema.maximum ?? 1e6, Math.round(this.random() * 1e4) / 100))
      case 'boolean':
        return this.random() < 0.5
      case 'array':
        return this.#array(schema, depth)
      case 'object':
        return this.#object(schema, depth)
      case 'null':
        return null
      default:
        return this.text(schema)
    }
  }

  #array(schema: Json, depth: number): unknown[] {
    if (depth > 4) return []
    const count = Math.max(schema.minItems ?? 1, Math.min(schema.maxItems ?? 2, 1 + Math.floor(this.random() * 2)))
    return Array.from({ length: count }, () => this.value(schema.items, depth + 1))
  }

  #object(schema: Json, depth: number): Json {
    // Some descriptions say by `oneOf` what goes together.
    const either: readonly Json[] = schema.oneOf ?? schema.anyOf ?? []
    const variant = either.length > 0 ? deref(this.#document, this.pick(either)) : {}
    const required: readonly string[] = [...(schema.required ?? []), ...(variant.required ?? [])]
    const unsaid = required.map((name) => [name, { type: 'string' }] as const)
    const properties: Json = { ...Object.fromEntries(unsaid), ...schema.properties, ...variant.properties }
    const isOpen = depth < 2
    const entries = Object.entries<Json>(properties)
      .filter(
        ([name, member]) => required.includes(name) || member.default !== undefined || (isOpen && this.random() < 0.4),
      )
      .map(([name, member]) => [name, this.value(member, depth + 1)] as const)
    // An empty object leaves nothing in a form.
    const [some] = Object.entries<Json>(properties)
    if (entries.length === 0 && some && depth > 0 && depth < 8) entries.push([some[0], this.value(some[1], depth + 1)])
    const free = schema.additionalProperties
    if (free && isOpen && entries.length === 0)
      entries.push(['extra key', this.value(free === true ? { type: 'string' } : free, depth + 1)])
    return Object.fromEntries(entries)
  }

  /** @param isAscii - for a header. */
  text(schema: Json, isAscii = false): string {
    if (isAscii) return this.pick(['plain', 'two words', 'W/"a-1"', '50% of #1'])
    switch (schema.format) {
      case 'date-time':
        return '2026-11-29T08:00:00Z'
      case 'date':
        return '2026-11-29'
      case 'uri':
        return 'https://example.com/a?b=c&d=e'
      case 'email':
        return 'a+b@example.com'
      case 'uuid':
        return '0b5a9a1e-51ee-4c3a-8d52-0c1a0f6d7c11'
      default:
        return this.pick(['plain', 'two words', 'a/b', 'ä&ö=ü', '50% of #1', "it's?", 'a+b', '日本', '[x]{y}']).slice(
          0,
          schema.maxLength ?? 99,
        )
    }
  }
}
