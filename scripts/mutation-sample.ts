/**
 * A checker of Stryker that lets a seeded sample of the mutants pass and calls the others invalid, so that they are
 * neither run nor counted. Each folder gives as many as its share of all mutants.
 */
import { createHash } from 'node:crypto'
import { relative, sep } from 'node:path'
import { type Checker, type CheckResult, CheckStatus } from '@stryker-mutator/api/check'
import type { Mutant } from '@stryker-mutator/api/core'
import { commonTokens, declareClassPlugin, PluginKind, tokens } from '@stryker-mutator/api/plugin'

export interface SampleOptions {
  readonly seed: string
  /** Mutants in the sample. */
  readonly count: number
}

/** By their folder, sorted: `src/core/call`, `src/interceptors`, `transports/http`. */
export function byFolder<T extends { readonly fileName: string }>(mutants: readonly T[]): [string, T[]][] {
  const folders = new Map<string, T[]>()
  for (const mutant of mutants) {
    const path = relative(process.cwd(), mutant.fileName).split(sep).join('/')
    const folder = /^(?:src\/core\/[^/]+(?=\/)|[^/]+\/[^/]+)/.exec(path)?.[0] ?? path
    const list = folders.get(folder)
    if (list) list.push(mutant)
    else folders.set(folder, [mutant])
  }
  return [...folders].sort(([a], [b]) => (a < b ? -1 : 1))
}

class Sample implements Checker {
  static inject = tokens(commonTokens.options)
  readonly #options: SampleOptions
  readonly #chosen = new Set<string>()

  constructor(options: { sample: SampleOptions }) {
    this.#options = options.sample
  }

  async init(): Promise<void> {}

  /** Stryker hands over all mutants at once, before any is checked. */
  async group(mutants: Mutant[]): Promise<string[][]> {
    const share = Math.min(1, this.#options.count / mutants.length)
    for (const [, inFolder] of byFolder(mutants)) {
      const shuffled = inFolder.toSorted((a, b) => (this.#lot(a) < this.#lot(b) ? -1 : 1))
      for (const { id } of shuffled.slice(0, Math.ceil(inFolder.length * share))) this.#chosen.add(id)
    }
    return [mutants.map(({ id }) => id)]
  }

  async check(mutants: Mutant[]): Promise<Record<string, CheckResult>> {
    return Object.fromEntries(mutants.map(({ id }) => [id, this.#verdict(id)]))
  }

  #verdict(id: string): CheckResult {
    if (this.#chosen.has(id)) return { status: CheckStatus.Passed }
    return { status: CheckStatus.CompileError, reason: 'not in the sample' }
  }

  /** By what the mutant says, so that a change elsewhere in the file draws no other sample. */
  #lot({ fileName, mutatorName, replacement, location: { start } }: Mutant): string {
    const name = [
      this.#options.seed,
      relative(process.cwd(), fileName),
      mutatorName,
      replacement,
      start.line,
      start.column,
    ]
    return createHash('sha1').update(name.join('\n')).digest('hex')
  }
}

export const strykerPlugins = [declareClassPlugin(PluginKind.Checker, 'sample', Sample as never)]
export const strykerValidationSchema = { properties: { sample: { type: 'object' } } }
