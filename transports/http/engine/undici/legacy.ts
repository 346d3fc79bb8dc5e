import type { HeaderRecord } from '../../../../src/core/call/header-map.ts'
import type { DispatchController } from './dispatcher.ts'

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
