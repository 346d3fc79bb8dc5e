import { readFileSync } from 'node:fs'
import { brotliDecompressSync } from 'node:zlib'

/** A document of OpenAPI, or a part of it. */
export type Json = Record<string, any>

export const descriptions = ['github', 'stripe', 'kubernetes', 'box', 'twilio', 'adyen', 'openai'] as const
export type DescriptionName = (typeof descriptions)[number]

/** One of the published descriptions; see descriptions/README.md. */
export function readDescription(name: DescriptionName): Json {
  const file = new URL(`descriptions/${name}.json.br`, import.meta.url)
  return JSON.parse(brotliDecompressSync(readFileSync(file)).toString('utf8'))
}

/** What a reference leads to. */
export function deref(document: Json, value: Json | undefined): Json {
  let at = value
  while (at?.$ref)
    at = (at.$ref as string)
      .slice(2)
      .split('/')
      .reduce<any>(
        (inside, key) => inside[decodeURIComponent(key).replaceAll('~1', '/').replaceAll('~0', '~')],
        document,
      )
  return at ?? {}
}

export const methods = ['get', 'put', 'post', 'delete', 'patch', 'head', 'options'] as const
export type Method = (typeof methods)[number]

/** One operation, its references followed. */
export interface DocumentOperation {
  readonly name: string
  readonly method: Method
  readonly path: string
  readonly parameters: readonly Json[]
  readonly body: Json | undefined
  readonly responses: Json
}

/** All operations of a document. */
export function operationsOf(document: Json): DocumentOperation[] {
  return Object.entries<Json>(document.paths).flatMap(([path, given]) => {
    const item = deref(document, given)
    return methods
      .filter((method) => item[method])
      .map((method) => {
        const operation = item[method] as Json
        const all = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map((each) => deref(document, each))
        const parameters = [...new Map(all.map((each) => [`${each.in} ${each.name}`, each])).values()]
        const body = bodyOf(document, operation.requestBody)
        const name = `${method.toUpperCase()} ${path}`
        return { name, method, path, parameters, body, responses: operation.responses }
      })
  })
}

/** The body, unless it is described to be empty. */
function bodyOf(document: Json, given: Json | undefined): Json | undefined {
  const body = given && deref(document, given)
  const isEmpty = Object.values<Json>(body?.content ?? {}).every(({ schema }) => {
    const { type, properties = {}, additionalProperties } = deref(document, schema)
    return type === 'object' && Object.keys(properties).length === 0 && additionalProperties === false
  })
  return isEmpty && !body?.required ? undefined : body
}
