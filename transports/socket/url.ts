import { CallError } from '../../src/core/errors/error.ts'

/**
 * The address of a socket: `ws:` and `wss:` as they are, `http:` and `https:` turned into them, relative to the page in
 * browsers.
 *
 * @throws {CallError} `invalid_argument` when it is none.
 */
export function readSocketUrl(url: string, page = pageUrl()): URL {
  let whole: URL
  try {
    whole = new URL(url, page)
  } catch {
    throw refuse("must be absolute, such as 'wss://rt.example.com/ws'; relative ones work in browsers only")
  }
  if (whole.protocol === 'http:' || whole.protocol === 'https:') whole = new URL(whole.href.replace(/^http/, 'ws'))
  if (whole.protocol !== 'ws:' && whole.protocol !== 'wss:') throw refuse("must be a 'ws:' or 'wss:' URL")
  if (whole.hash !== '') throw refuse('must have no fragment')
  if (whole.username !== '' || whole.password !== '') throw refuse('must hold no credential: use the auth option')
  return whole
}

function pageUrl(): string | undefined {
  return (globalThis as { document?: { baseURI?: string } }).document?.baseURI
}

function refuse(what: string): CallError {
  return new CallError({ code: 'invalid_argument', message: `websocketTransport({ url }): the URL ${what}` })
}
