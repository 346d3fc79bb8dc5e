import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { guard } from '../../src/core/guard.ts'
import { callable, checkOptions, type RulesOf } from '../../src/core/options.ts'
import { isRecord } from '../../src/core/tag.ts'
import { type Answer, type Ask, Feature, type GraphQLFeature, type JsonWays } from './feature.ts'
import { parseJson } from './response.ts'

/** Reads and writes JSON where the platform's own way loses something: integers above 2⁵³, decimals. */
export interface JsonCodecOptions {
  /** Reads a text that is JSON. */
  readonly parse: (text: string) => unknown
  /** Writes variables. @defaultValue as JSON.stringify does */
  readonly stringify?: ((value: unknown) => string | undefined) | undefined
}

const rules: RulesOf<JsonCodecOptions> = { parse: callable, stringify: callable }

/**
 * Reads the data of responses with a parser of one's own, and writes variables likewise: for 64-bit ids and decimals.
 * Errors and extensions of a response are read as ever. Requests, subscriptions and results in parts alike.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * import { parse, stringify } from 'lossless-json'
 * graphqlTransport({ url, features: [jsonCodec({ parse, stringify })] })
 */
export function jsonCodec(options: JsonCodecOptions): GraphQLFeature {
  checkOptions('jsonCodec()', options, rules)
  if (!options.parse) throw refusal('jsonCodec({ parse }) reads the JSON of a response', undefined)
  return new JsonCodec(options)
}

class JsonCodec extends Feature implements JsonWays {
  readonly kind = 'json'
  readonly #options: JsonCodecOptions

  constructor(options: JsonCodecOptions) {
    super()
    this.#options = options
  }

  wrap(next: Ask): Ask {
    return async (asked) => {
      const answer = await next(asked)
      const parsed = answer.parsed ?? this.read(answer.text(), asked.call)
      return parsed ? Object.assign(answer as Answer & { parsed: typeof parsed }, { parsed }) : answer
    }
  }

  /**
   * Reads a text; undefined where it is no JSON, which is no fault of the parser. Errors and extensions decide over
   * retries, so that their numbers stay numbers.
   *
   * @throws {CallError} `internal` where the parser fails on what is JSON.
   */
  read(text: string, origin: ErrorOrigin | undefined): { readonly value: unknown } | undefined {
    const plain = parseJson(text)
    if (!plain) return undefined
    const value = guard('parse() of jsonCodec()', () => this.#options.parse(text), origin, {
      phase: 'body',
      sent: 'yes',
    })
    if (!isRecord(plain.value) || !isRecord(value)) return { value }
    const { errors, extensions } = plain.value
    return {
      value: { ...value, ...(errors !== undefined && { errors }), ...(extensions !== undefined && { extensions }) },
    }
  }

  /** Writes a value; undefined where that is left to the platform. @throws {CallError} `invalid_argument` where it cannot. */
  write(value: unknown, what: string, origin: ErrorOrigin): string | undefined {
    const { stringify } = this.#options
    if (!stringify) return undefined
    const message = `stringify() of jsonCodec() could not write ${what}: see cause; nothing was sent`
    const text = guard('stringify() of jsonCodec()', () => stringify(value), origin, {
      code: 'invalid_argument',
      message,
    })
    if (typeof text !== 'string') throw refusal(`stringify() of jsonCodec() gave no text for ${what}`, origin)
    return text
  }
}
