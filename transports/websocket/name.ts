import { CallError, type ErrorOrigin } from '../../src/core/errors/error.ts'

/** Control characters and lone surrogates. */
const unfit = /[\p{Cc}\p{Cs}]/u

/** The name of a channel or request, such as `chat:{room}`, taken apart once. */
export class NameTemplate {
  readonly names: readonly string[]
  readonly #literals: readonly string[]

  /** @throws {TypeError} where the template is none. */
  constructor(template: string) {
    if (typeof template !== 'string') throw new TypeError("a name is a string such as 'chat:{room}'")
    const parts = template.split(/\{([^{}]+)\}/)
    this.#literals = parts.filter((_, index) => index % 2 === 0)
    this.names = parts.filter((_, index) => index % 2 === 1)
    if (this.#literals.some((literal) => /[{}]/.test(literal)))
      throw new TypeError(`the name '${template}' holds a stray brace`)
  }

  /**
   * Values stand in the name as they are, since servers compare names as texts: what a caller may join is the server's
   * to decide, by the whole name.
   *
   * @throws {CallError} `invalid_argument` when a value is missing, empty or unfit; it names the placeholder.
   */
  fill(values: Readonly<Record<string, unknown>>, origin: ErrorOrigin): string {
    let name = this.#literals[0] as string
    for (const [index, placeholder] of this.names.entries()) {
      name += toText(values[placeholder], placeholder, origin) + this.#literals[index + 1]
    }
    return name
  }
}

function toText(value: unknown, placeholder: string, origin: ErrorOrigin): string {
  const refuse = (what: string): never => {
    const message = `'${placeholder}' of the name ${what}; nothing was sent`
    throw new CallError({ code: 'invalid_argument', message, phase: 'resolve', sent: 'no' }, origin)
  }
  if (value === undefined || value === null) return refuse('is missing')
  if (typeof value !== 'string' && typeof value !== 'bigint' && !Number.isFinite(value))
    return refuse('is no string, number or bigint')
  const text = String(value)
  if (text === '') return refuse('is empty')
  return unfit.test(text) ? refuse('holds a control character or half a surrogate pair') : text
}
