import { Writable } from 'node:stream'
import { isThenable, notify } from '../../../../src/core/guard.ts'
import { has } from '../../../../src/core/options.ts'
import { within } from '../../../../src/core/time/bounded.ts'
import type { HttpCacheStore } from '../../cache.ts'
import type { KeptAnswers } from '../../contract.ts'

/** How long an entry is waited for before the server is asked; ms. */
const readMs = 1000
/** An entry so far in the future was written before the clock was set back; ms. */
const clockMs = 60_000

/** An entry of a store, as undici reads it. */
const members = [
  'statusCode',
  'statusMessage',
  'headers',
  'body',
  'vary',
  'etag',
  'cacheControlDirectives',
  'cachedAt',
  'staleAt',
  'deleteAt',
] as const
type Member = (typeof members)[number]

/** What is kept of an answer, on its way to the caller. */
export interface Found {
  readonly headers: Record<string, unknown>
}

/**
 * A store as the cache sees it. What it fails with, what it gives that is no entry, and its silence harm no call: nothing is
 * known there, or kept, and telemetry is told.
 */
export class CacheStore {
  readonly #store: HttpCacheStore
  readonly #services: KeptAnswers['services']
  /** So much may wait for it to be written; undefined for a store of ours, which is never late. */
  readonly #maxWaiting: number | undefined

  constructor(store: HttpCacheStore, services: KeptAnswers['services'], maxWaiting: number | undefined) {
    this.#store = store
    this.#services = services
    this.#maxWaiting = maxWaiting
  }

  get(key: unknown): Found | undefined | Promise<Found | undefined> {
    return this.#tried('get', () => {
      const given = this.#store.get(key)
      if (!isThenable(given) && !isStream(bodyOf(given))) return entryOf(given)
      let body: unknown
      const read = async () => {
        const entry = await given
        body = bodyOf(entry)
        // Read before it is used: one that breaks off is no answer of the server's.
        return entryOf(entry, isStream(body) ? await wholeOf(body) : body)
      }
      return within(this.#services.clock, readMs, read).finally(() => isStream(body) && body.destroy?.())
    })
  }

  /** Where an answer is written to. It never has the wire wait: what the store does not take in time is not kept. */
  createWriteStream(key: unknown, value: unknown): Writable | undefined {
    return this.#tried('createWriteStream', () => {
      const stream = this.#store.createWriteStream(key, value)
      if (isThenable(stream)) {
        stream.then(undefined, () => {})
        throw new TypeError('createWriteStream() must not be async')
      }
      if (!stream) return undefined
      if (!['write', 'end', 'on', 'destroy'].every((name) => has(name)(stream))) throw new TypeError('no Writable')
      const taking = stream as Writable
      if (this.#maxWaiting === undefined) return taking
      taking.on('error', (cause) => {
        this.#tell('createWriteStream', cause)
        this.delete(key)
      })
      return passingTo(taking, this.#maxWaiting)
    })
  }

  delete(key: unknown): void {
    this.#tried('delete', () => this.#store.delete(key))
  }

  #tried<T>(member: string, run: () => T): T | undefined {
    const fail = (cause: unknown): undefined => this.#tell(member, cause)
    try {
      const given = run()
      return isThenable(given) ? (Promise.resolve(given).catch(fail) as T) : given
    } catch (cause) {
      return fail(cause)
    }
  }

  #tell(member: string, cause: unknown): undefined {
    notify(`${member}() of the store of httpCache()`, () => Promise.reject(cause), this.#services.telemetry)
  }
}

interface Source extends AsyncIterable<unknown> {
  readonly readableDidRead?: boolean
  destroy?(): void
}

const bodyOf = (entry: unknown): unknown => (entry as { readonly body?: unknown } | null | undefined)?.body

function isStream(body: unknown): body is Source {
  return typeof (body as Partial<Source> | null | undefined)?.[Symbol.asyncIterator] === 'function'
}

async function wholeOf(body: Source): Promise<unknown[]> {
  if (body.readableDidRead) throw new TypeError('its body was read before')
  const chunks: unknown[] = []
  for await (const chunk of body) chunks.push(chunk)
  return chunks
}

/** A copy, since what the server says anew is written into it. @throws {TypeError} where it is none. */
function entryOf(given: unknown, body = bodyOf(given)): Found | undefined {
  if (given === undefined || given === null) return undefined
  const entry = given as Readonly<Record<Member, any>>
  const copy = Object.fromEntries(members.map((name) => [name, entry[name]])) as Record<Member, any>
  const { statusCode, cachedAt, staleAt, deleteAt, headers } = copy
  const isEntry =
    Number.isInteger(statusCode) &&
    [cachedAt, staleAt, deleteAt].every(Number.isFinite) &&
    typeof headers === 'object' &&
    Object.values(headers ?? {}).every((value) => [value].flat().every((each) => typeof each === 'string'))
  if (!isEntry) throw new TypeError('what it gave is no entry')
  copy.headers = withoutCookies(headers)
  copy.body = [body ?? []].flat().map(toBytes)
  copy.cacheControlDirectives ??= {}
  // Nobody knows how old it is: it is validated.
  if (cachedAt - Date.now() > clockMs) copy.staleAt = copy.cachedAt = 0
  return copy
}

function toBytes(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk
  if (typeof chunk === 'string') return Buffer.from(chunk)
  throw new TypeError('its body holds no bytes')
}

/** Cookies, and nonces, are of the moment in which they were set: what was set later must not be set back. */
export function withoutCookies(headers: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { 'set-cookie': _cookies, 'dpop-nonce': _nonce, ...kept } = headers
  return kept
}

/** Takes all at once, until too much waits. */
function passingTo(stream: Writable, maxWaiting: number): Writable {
  return new Writable({
    write(chunk, _encoding, done) {
      stream.write(chunk)
      if (stream.writableLength > maxWaiting) this.destroy()
      done()
    },
    final(done) {
      stream.end()
      done()
    },
    destroy(error, done) {
      if (!stream.writableEnded) stream.destroy()
      done(error)
    },
  })
}
