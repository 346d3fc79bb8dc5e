import { CallError, type ErrorOrigin } from './errors/error.ts'
import { isObject } from './tag.ts'

/** What an option takes: the words for it, whether a value fits, and the rules of what stands inside. */
export interface OptionRule {
  readonly takes: string
  fits(value: unknown): boolean
  readonly members?: OptionRules | undefined
}

/** The options that there are, by name. */
export type OptionRules = { readonly [name: string]: OptionRule }

/** One rule for each option of `T`, so that none is forgotten: `const rules: RulesOf<RetryOptions> = { … }`. */
export type RulesOf<T> = { readonly [Name in keyof T]-?: OptionRule }

/** Makes a rule. */
export const takes = (words: string, fits: (value: unknown) => boolean, members?: OptionRules): OptionRule => ({
  takes: words,
  fits,
  members,
})

/** Whether a value has a method: how something is told by what it can do. */
export const has =
  (method: string) =>
  (value: unknown): boolean =>
    typeof (value as Record<string, unknown> | null | undefined)?.[method] === 'function'

/** Whether a value is a number; NaN is none. */
export const isNumber = (value: unknown): value is number => typeof value === 'number' && !Number.isNaN(value)

/** A text, empty or not. */
export const text = /* @__PURE__ */ takes('a text', (value) => typeof value === 'string')
/** True or false. */
export const flag = /* @__PURE__ */ takes('true or false', (value) => typeof value === 'boolean')
/** A function. */
export const callable = /* @__PURE__ */ takes('a function', (value) => typeof value === 'function')
/** A number above 0; Infinity counts. */
export const aboveZero = /* @__PURE__ */ takes('a number above 0', (value) => isNumber(value) && value > 0)
/** A number of 0 or more; Infinity counts. */
export const notNegative = /* @__PURE__ */ takes('a number, 0 or more', (value) => isNumber(value) && value >= 0)
/** Infinity counts: that is how a limit is switched off. */
export const count = /* @__PURE__ */ takes(
  'a whole number of 1 or more, or Infinity',
  (value) => value === Number.POSITIVE_INFINITY || (Number.isInteger(value) && (value as number) >= 1),
)
/** What makes credentials. */
export const credentialSource = /* @__PURE__ */ takes(
  'what bearerAuth() or its like makes',
  /* @__PURE__ */ has('credential'),
)
/** An array, whatever it holds. */
export const list = /* @__PURE__ */ takes('an array', Array.isArray)
/** Any object; `members` names what may stand in it. */
export const object = (words: string, members?: OptionRules): OptionRule => takes(words, isObject, members)
/** Whatever it is: somebody else checks it. */
export const anything = /* @__PURE__ */ takes('anything', () => true)
/** One of a few words. */
export const oneOf = (...words: readonly (string | boolean)[]): OptionRule =>
  takes(words.map((word) => (typeof word === 'string' ? `'${word}'` : word)).join(', '), (value) =>
    words.includes(value as string),
  )
/** `false` for none, or what another rule takes. */
export const orFalse = (rule: OptionRule): OptionRule =>
  takes(`${rule.takes}, or false`, (value) => value === false || rule.fits(value), rule.members)
/** What one rule or another takes. */
export const either = (...rules: readonly OptionRule[]): OptionRule =>
  takes(rules.map((rule) => rule.takes).join(', or '), (value) => rules.some((rule) => rule.fits(value)))

/**
 * The one way in which options are checked: an unknown name is refused with the nearest one, a wrong value with what the
 * option takes. `undefined` always passes, since it says nothing.
 *
 * @param what - whose options these are: `restTransport()`, `get()`.
 * @param origin - the call, where nothing has been sent yet.
 * @throws {CallError} `invalid_argument` that names the option, never its value.
 * @example
 * checkOptions('restTransport()', options, { baseUrl: text, maxBodyBytes: aboveZero })
 */
export function checkOptions(what: string, options: unknown, rules: OptionRules, origin?: ErrorOrigin): void {
  const wrong = wrongOption(options, rules)
  if (wrong === undefined) return
  const end = origin ? `${wrong.endsWith('?') ? ' N' : '; n'}othing was sent` : ''
  throw new CallError({ code: 'invalid_argument', message: `${what}: ${wrong}${end}` }, origin)
}

/** The first option that is unknown or does not fit, in words; undefined where there is none. */
export function wrongOption(options: unknown, rules: OptionRules): string | undefined {
  return isObject(options) ? wrongMember('', options, rules) : 'the options are an object'
}

function wrongMember(prefix: string, options: object, rules: OptionRules): string | undefined {
  // What a class makes of itself (a recorder as telemetry, say) has members that are nobody's options.
  const isInstance = ![Object.prototype, null].includes(Object.getPrototypeOf(options))
  for (const name in options) {
    const value: unknown = options[name as never]
    if (value === undefined) continue
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined
    if (!rule && isInstance) continue
    if (!rule) return `unknown option '${prefix}${name}'${suggestion(name, Object.keys(rules))}`
    if (!rule.fits(value)) return `${prefix}${name} takes ${rule.takes}`
    const inside = rule.members && isObject(value) && wrongMember(`${prefix}${name}.`, value, rule.members)
    if (inside) return inside
  }
  return undefined
}

function suggestion(name: string, known: readonly string[]): string {
  let nearest = ''
  let least = Math.max(3, name.length / 2)
  for (const candidate of known) {
    const distance = distanceOf(name.toLowerCase(), candidate.toLowerCase())
    if (distance < least) {
      least = distance
      nearest = candidate
    }
  }
  return nearest ? `: did you mean '${nearest}'?` : `; there are ${known.join(', ')}`
}

/** Edits between two names; one that stands whole in the other is near, however long the rest is. */
function distanceOf(name: string, candidate: string): number {
  if (name.length > 2 && (candidate.includes(name) || name.includes(candidate)))
    return Math.abs(name.length - candidate.length) / 100
  // How far each beginning of the candidate is from what has been read of the name.
  let row = Array.from(`${candidate} `, (_, column) => column)
  for (const letter of name) {
    let left = (row[0] as number) + 1
    row = row.map((above, column) => {
      if (column > 0) {
        const swap = (row[column - 1] as number) + Number(letter !== candidate[column - 1])
        left = Math.min(swap, above + 1, left + 1)
      }
      return left
    })
  }
  return row.at(-1) as number
}
