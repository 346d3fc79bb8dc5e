import type { HeaderRecord } from '../../../../src/core/call/header-map.ts'

/** What a dispatcher is asked to send; the part of undici's DispatchOptions that we use. */
export interface DispatchOptions {
  readonly origin: string
  readonly path: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array | AsyncIterable<Uint8Array> | undefined
}

/** Steers one exchange, as undici 7 and 8 hand it to a handler. */
export interface DispatchController {
  abort(reason: Error): void
  pause(): void
  resume(): void
  /** Views of what the socket read; undici sets it for whoever wants them, and needs it no more. */
  rawHeaders?: unknown
}

/** An undici Dispatcher of any version: the handler speaks the API of 7 and 8 and the older one. */
export interface Dispatcher {
  dispatch(options: DispatchOptions, handler: object): boolean
}

/** Whether a value can dispatch requests as undici's agents do, whichever copy of undici it is of. */
export function isDispatcher(value: unknown): value is Dispatcher {
  return typeof value === 'object' && value !== null && typeof (value as Dispatcher).dispatch === 'function'
}

/** The controller of undici 7 and 8, made of what undici 6 hands to a handler piece by piece. */
export class LegacyController implements DispatchController {
  isPaused = false
  readonly #abort: (reason: Error) => void
  /** Known from the response's headers on. */
  #resume: (() => void) | undefined

  constructor(abort: (reason: Error) => void) {
    this.#abort = abort
  }

  abort(reason: Error): void {
    this.#abort(reason)
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    if (!this.isPaused) return
    this.isPaused = false
    this.#resume?.()
  }

  answered(resume: () => void): void {
    this.#resume = resume
  }
}

/** Names and values in turn, as Buffers or strings, as a record. */
export function toRecord(
  raw: readonly (Uint8Array | string | readonly (Uint8Array | string)[])[] | null,
): HeaderRecord {
  const record: Record<string, string | string[]> = Object.create(null)
  if (!raw) return record
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = text(raw[at]).toLowerCase()
    const item = raw[at + 1]
    for (const each of Array.isArray(item) ? item : [item]) {
      const value = text(each)
      const old = record[name]
      record[name] = old === undefined ? value : typeof old === 'string' ? [old, value] : [...old, value]
    }
  }
  return record
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : String.fromCharCode(...(value as Uint8Array))
}

/** Where undici 8 and Node since 24 keep the global dispatcher, and where undici up to 7 and Node up to 22 do. */
export const globalDispatchers = [
  Symbol.for('undici.globalDispatcher.2'),
  Symbol.for('undici.globalDispatcher.1'),
] as const

/** A global dispatcher that the user has set: a proxy, a MockAgent, an Agent with options; never the stock one. */
export function foreignDispatcher(...candidates: readonly unknown[]): Dispatcher | undefined {
  return candidates.find((each): each is Dispatcher => isDispatcher(each) && !isStock(each))
}

/** Node and undici make theirs by `new Agent()`, for the older API wrapped; every copy has classes of its own. */
function isStock(dispatcher: Dispatcher): boolean {
  const type = dispatcher.constructor
  if (type.name === 'Dispatcher1Wrapper') return true
  if (type.name !== 'Agent') return false
  // `compose` gives a proxy of the Agent whose `dispatch` alone is another.
  if (dispatcher.dispatch !== type.prototype.dispatch) return false
  return !hasOptions(dispatcher)
}

/** Whether an Agent was made with any option: it keeps them under a symbol, plain defaults among them. */
function hasOptions(agent: object): boolean {
  const symbols = Object.getOwnPropertySymbols(agent)
  const kept = (name: string): unknown => {
    const symbol = symbols.find(({ description }) => description === name)
    return symbol && (agent as Record<symbol, unknown>)[symbol]
  }
  const factory = kept('factory')
  if (typeof factory === 'function' && factory.name !== 'defaultFactory') return true
  const options = Object.values((kept('options') as object | undefined) ?? {})
  return options.some((value) => value !== undefined && value !== Number.POSITIVE_INFINITY)
}
