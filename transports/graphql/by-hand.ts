import type { Call } from '../../src/core/call/call.ts'
import type { Answer } from './feature.ts'

/** Has the text of an answer to a query read by `parse`. */
type ReadAnswer = <T>(answer: Answer, query: string, parse: (text: string) => T) => T | Promise<T>

/** What reads the answers of calls, once what it needs is loaded. */
export type AnswerReader = (call: Call) => ReadAnswer | Promise<ReadAnswer>

/**
 * `#graphql-reader` outside of Node. Of graphql-request one name alone brings the parser and the printer of graphql, 10 KB
 * of each page that nothing calls; here nothing is left for it to do.
 */
export const answerReader: AnswerReader = () => (answer, _query, parse) => parse(answer.text())
