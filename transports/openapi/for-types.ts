type Json = Record<string, any>

/**
 * A copy of a document of OpenAPI 3 in which openapi-typescript 7 finds what it leaves out of its types otherwise: the items
 * of streams (`itemSchema`, `contentSchema` of OpenAPI 3.2), and callbacks, as webhooks of the names that they have.
 *
 * @example
 * const source = astToString(await openapiTS(forTypes(document)))
 */
export function forTypes<T extends object>(document: T): T {
  const copy = JSON.parse(JSON.stringify(document), (_key, value) =>
    value?.itemSchema ? { ...value, schema: value.itemSchema } : (value?.contentSchema ?? value),
  ) as Json
  const webhooks: Json = { ...copy.webhooks }
  const add = (callbacks: Json | undefined, of: string | undefined) => {
    for (const [name, callback] of Object.entries<Json>(callbacks ?? {})) {
      const [item] = Object.values(Object(callback))
      const free = name in webhooks && of !== undefined ? `${of}.${name}` : name
      // What it refers to is added under its own name.
      if (typeof item === 'object' && item !== null) webhooks[free] ??= item
    }
  }
  add(copy.components?.callbacks, undefined)
  for (const item of Object.values<Json>(copy.paths ?? {}))
    for (const operation of Object.values<Json>(Object(item))) add(operation?.callbacks, operation?.operationId)
  return { ...copy, ...(Object.keys(webhooks).length > 0 && { webhooks }) } as unknown as T
}
