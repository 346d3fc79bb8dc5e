import type { Failure } from '../../../src/core/errors/failure.ts'
import { type DigestAlgorithm, type ExpectedDigest, type Hasher, hasherOf, toBase64 } from './digest.ts'

/** Holds the bytes of one download against what the server and the caller say of the whole. */
export class DigestCheck {
  readonly #mode: 'check' | 'require' | false
  readonly #expected: ExpectedDigest[] = []
  #named: readonly ExpectedDigest[] = []
  /** The server names one behind the body. */
  #isTrailing = false
  #hashers = new Map<DigestAlgorithm, Hasher>()

  constructor(mode: 'check' | 'require' | false = 'check') {
    this.#mode = mode
  }

  /** Whether a digest of the whole will tell parts of several files. */
  get isTelling(): boolean {
    return this.#hashers.size > 0
  }

  /** Begins with an answer. @returns whether it names what is required. */
  begin(named: readonly ExpectedDigest[], trailer: string | null): boolean {
    this.#named = this.#mode === false ? [] : named.filter(({ algorithm }) => hasherOf(algorithm))
    this.#isTrailing =
      this.#mode !== false && this.#named.length === 0 && /(?:^|[\s,])repr-digest(?:[\s,]|$)/i.test(trailer ?? '')
    this.#hash()
    return this.#mode !== 'require' || this.#named.length > 0 || this.#isTrailing
  }

  /** @returns false where the algorithm is unknown here. */
  expect(expected: ExpectedDigest): boolean {
    if (!hasherOf(expected.algorithm)) return false
    this.#expected.push(expected)
    this.#hash()
    return true
  }

  update(bytes: Uint8Array): void {
    for (const hasher of this.#hashers.values()) hasher.update(bytes)
  }

  /**
   * What is wrong with the whole; undefined where nothing is.
   *
   * @param isWhole - every byte from the first one on was seen.
   * @param trailing - digests that came behind the body.
   */
  async faultOf(
    isWhole: boolean,
    trailing: () => Promise<readonly ExpectedDigest[]>,
  ): Promise<Pick<Failure, 'code' | 'message' | 'reason'> | undefined> {
    if (!isWhole) {
      const message = 'a digest is of the whole, and what lies before the first byte was not seen: see addEarlier()'
      return this.#expected.length > 0 || this.#mode === 'require'
        ? { code: 'failed_precondition', message }
        : undefined
    }
    const named = this.#isTrailing ? await trailing() : this.#named
    if (this.#mode === 'require' && named.length === 0)
      return { code: 'failed_precondition', message: 'the server named no digest that can be checked here' }
    const made = new Map([...this.#hashers].map(([algorithm, hasher]) => [algorithm, toBase64(hasher.digest())]))
    for (const { algorithm, value, by } of [...named, ...this.#expected]) {
      const digest = made.get(algorithm)
      if (digest === undefined || digest === value) continue
      const what = `the bytes that came have another ${algorithm} than ${by} says`
      return {
        code: 'data_loss',
        message: `${what}: they were damaged on the way, or at the server`,
        reason: 'digest_mismatch',
      }
    }
    return undefined
  }

  #hash(): void {
    const algorithms = [...this.#named, ...this.#expected].map(({ algorithm }) => algorithm)
    if (this.#isTrailing) algorithms.push('sha-256')
    this.#hashers = new Map(algorithms.map((algorithm) => [algorithm, hasherOf(algorithm) as Hasher]))
  }
}
