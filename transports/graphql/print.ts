import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import type { PreparedDocument } from './document.ts'
import { graphql } from './peers.ts'

/** A document as it goes on the wire. */
export interface DocumentText {
  readonly text: string
  /** The start of the request's JSON, up to what differs from call to call: `{"query":"…","operationName":"…"`. */
  readonly head: string
}

/** Printing costs 20–2,000 µs and escaping up to 20, so both are done once for each operation. */
const texts = new WeakMap<PreparedDocument, DocumentText>()

/**
 * The text of a document: at once, except for an AST that is seen for the first time.
 *
 * @throws {CallError} `failed_precondition` when `graphql` is not installed.
 */
export function textOf(document: PreparedDocument, origin: ErrorOrigin): DocumentText | Promise<DocumentText> {
  const { source } = document
  return (
    texts.get(document) ?? (typeof source === 'string' ? remember(document, source) : print(document, source, origin))
  )
}

async function print(document: PreparedDocument, source: object, origin: ErrorOrigin): Promise<DocumentText> {
  const library = await graphql.get(origin)
  return remember(document, library.print(source as Parameters<typeof library.print>[0]))
}

function remember(document: PreparedDocument, text: string): DocumentText {
  const { operationName } = document
  const name = operationName === undefined ? '' : `,"operationName":${JSON.stringify(operationName)}`
  const known = { text, head: `{"query":${JSON.stringify(text)}${name}` }
  texts.set(document, known)
  return known
}
