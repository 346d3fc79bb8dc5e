import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { tagOf } from '../../src/core/tag.ts'
import { graphql } from './peers.ts'

/** What an operation of a document does. */
export type GraphQLKind = 'query' | 'mutation' | 'subscription'

/** One operation of a document, made ready once: what is sent, and what must be known of it. The same one each time. */
export interface PreparedDocument {
  readonly kind: GraphQLKind
  /** Sent as `operationName`; undefined for an anonymous operation. */
  readonly operationName: string | undefined
  /** How many root fields it selects; Infinity where a fragment may bring more. */
  readonly rootFields: number
  /** The text, or the AST that is printed on first use. */
  readonly source: string | object
}

/** Documents are few, but `client.call(query(text), …)` prepares one a call: the last ones are remembered. */
const maxTexts = 1000
const texts = new Map<unknown, readonly PreparedDocument[]>()
const nodes = new WeakMap<object, readonly PreparedDocument[]>()

/**
 * Reads what an operation needs to know of its document: without parsing where it is a string.
 *
 * @param document - a string, a boxed String (TypedDocumentString) or a DocumentNode.
 * @param operationName - says which, where the document holds several operations.
 * @param kind - what it is, where a document that the server knows by its id (gql.tada) holds no operation itself.
 * @throws {TypeError} when the document holds no operation, or not the one that is asked for.
 */
export function prepareDocument(document: unknown, operationName?: string, kind?: GraphQLKind): PreparedDocument {
  // A TypedDocumentString is a boxed String, perhaps of another realm.
  const isText = tagOf(document) === 'String'
  if (!isText && !isDocumentNode(document)) {
    throw new TypeError('a GraphQL document is a string, a TypedDocumentString or a DocumentNode')
  }
  const source = isText ? String(document) : (document as DocumentNode)
  const found = definitionsOf(source)
  return kind && !found[0] && (source as DocumentNode).documentId
    ? { kind, operationName, rootFields: Number.POSITIVE_INFINITY, source }
    : choose(found, operationName)
}

function definitionsOf(source: string | DocumentNode): readonly PreparedDocument[] {
  const isText = typeof source === 'string'
  const known = (isText ? texts : nodes) as typeof texts
  let found = known.get(source)
  if (!found) {
    found = isText ? scan(source) : read(source)
    if (texts.size >= maxTexts) texts.delete(texts.keys().next().value)
    known.set(source, found)
  }
  return found
}

function choose(definitions: readonly PreparedDocument[], name: string | undefined): PreparedDocument {
  const [first, second] = definitions
  const chosen = name === undefined ? !second && first : definitions.find(({ operationName }) => operationName === name)
  if (chosen) return chosen
  const names = definitions.map(({ operationName = '' }) => `'${operationName}'`).join(', ')
  const what = name === undefined ? 'several operations' : `no operation '${name}'`
  throw new TypeError(
    `the GraphQL document holds ${first ? `${what}: operationName is one of ${names}` : 'no query, mutation or subscription'}`,
  )
}

// One token: what may hide names (comments, strings, variables, directives), a spread, a name, a mark; the rest is skipped.
const tokens =
  /#[^\n\r]*|"""(?:[^"\\]|\\(?:""")?|"(?!""))*"""|"(?:\\.|[^"\\\n\r])*"|[@$][\s,]*\w+|(\.\.\.)|([_A-Za-z]\w*)|([{}()[\]:])/g

/**
 * The operations of a text, by its brackets; syntax errors are the server's to report.
 *
 * @throws {TypeError} where something is closed that was not opened, or never closed.
 */
function scan(text: string): PreparedDocument[] {
  const found: PreparedDocument[] = []
  let depth = 0
  /** The names before the selection set: keyword, then name. */
  let header: string[] = []
  let rootFields = 0
  for (const [, spread, name, mark] of text.matchAll(tokens)) {
    if (name && depth === 0) header.push(name)
    else if (name || spread) {
      if (depth === 1) rootFields += name ? 1 : Number.POSITIVE_INFINITY
    } else if (mark === ':') {
      // What stood before it was an alias.
      if (depth === 1) rootFields--
    } else if (mark && '{(['.includes(mark)) {
      if (depth++ === 0 && mark === '{') rootFields = 0
    } else if (mark && --depth < 0)
      throw new TypeError(`the GraphQL document is not balanced: a '${mark}' closes nothing`)
    else if (depth === 0 && mark === '}') {
      const [kind = 'query', operationName] = header
      if (isKind(kind)) found.push({ kind, operationName, rootFields, source: text })
      header = []
    }
  }
  if (depth > 0) throw new TypeError(`the GraphQL document is cut off: ${depth} of { ( [ are never closed`)
  return found
}

function isKind(word: string): word is GraphQLKind {
  return ['query', 'mutation', 'subscription'].includes(word)
}

/** Whether an operation takes a variable of this name; a text is searched, not parsed. */
export function declaresVariable({ source }: PreparedDocument, name: string): boolean {
  if (typeof source === 'string') return new RegExp(`\\$[\\s,]*${name}\\b`).test(source)
  return (source as DocumentNode).definitions.some(({ variableDefinitions = [] }) =>
    variableDefinitions.some(({ variable }) => variable.name.value === name),
  )
}

interface DocumentNode {
  readonly kind: 'Document'
  readonly documentId?: unknown
  readonly definitions: readonly {
    readonly kind: string
    readonly operation?: GraphQLKind
    readonly name?: { readonly value: string } | undefined
    readonly selectionSet?: { readonly selections: readonly { readonly kind: string }[] }
    readonly variableDefinitions?: readonly { readonly variable: { readonly name: { readonly value: string } } }[]
  }[]
}

function isDocumentNode(value: unknown): value is DocumentNode {
  const { kind, definitions } = Object(value) as Partial<DocumentNode>
  return kind === 'Document' && Array.isArray(definitions)
}

function read(source: DocumentNode): PreparedDocument[] {
  return source.definitions.flatMap(({ kind, operation, name, selectionSet }) => {
    if (kind !== 'OperationDefinition' || !operation) return []
    const selections = selectionSet?.selections ?? []
    const isPlain = selections.every((selection) => selection.kind === 'Field')
    const rootFields = isPlain ? selections.length : Number.POSITIVE_INFINITY
    return [{ kind: operation, operationName: name?.value, rootFields, source }]
  })
}

/** A document as it goes on the wire. */
export interface DocumentText {
  readonly text: string
  /** The start of the request's JSON, up to what differs from call to call: `{"query":"…","operationName":"…"`. */
  readonly head: string
}

/** Printing costs 20–2,000 µs and escaping up to 20, so both are done once for each operation. */
const printed = new WeakMap<PreparedDocument, DocumentText>()

/**
 * The text of a document: at once, except for an AST that is seen for the first time.
 *
 * @throws {CallError} `failed_precondition` when `graphql` is not installed.
 */
export function textOf(document: PreparedDocument, origin: ErrorOrigin): DocumentText | Promise<DocumentText> {
  const { source, operationName } = document
  const remember = (text: string) => {
    const name = operationName === undefined ? '' : `,"operationName":${JSON.stringify(operationName)}`
    const made = { text, head: `{"query":${JSON.stringify(text)}${name}` }
    printed.set(document, made)
    return made
  }
  const print = async () => remember((await graphql.get(origin)).print(source as never))
  return printed.get(document) ?? (typeof source === 'string' ? remember(source) : print())
}
