/** One error of a GraphQL response. */
export interface GraphQLErrorItem {
  readonly message?: unknown
  readonly path?: unknown
  readonly extensions?: unknown
  /** Where GitHub and some others put the code. */
  readonly type?: unknown
}

/** A well-formed GraphQL response: `errors` is left out where there are none. */
export interface GraphQLResult {
  /** `null` where execution failed as a whole, left out where it did not begin. */
  readonly data?: Readonly<Record<string, unknown>> | null
  readonly errors?: readonly GraphQLErrorItem[]
  readonly extensions?: Readonly<Record<string, unknown>>
}

/** Whether `value` is an object with string keys, no array. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * A GraphQL result of any JSON value, or undefined where it is none: neither `data` nor `errors`.
 *
 * Lenient where servers are: `errors: null`, `errors: []`, one error as an object, `extensions: null`.
 */
export function toGraphQLResult(value: unknown): GraphQLResult | undefined {
  if (!isRecord(value)) return undefined
  const { data, errors, extensions } = value
  const list = Array.isArray(errors) ? errors.filter(isRecord) : isRecord(errors) ? [errors] : []
  if (data !== undefined && data !== null && !isRecord(data)) return undefined
  if (list.length === 0 && !isRecord(data)) return undefined
  return {
    ...(data !== undefined && { data }),
    ...(list.length > 0 && { errors: list as readonly GraphQLErrorItem[] }),
    ...(isRecord(extensions) && { extensions }),
  }
}

/** Whether a response brought something to use beside its errors: a root field that is not null. */
export function hasData({ data }: GraphQLResult): boolean {
  if (!data) return false
  for (const name in data) if (data[name] !== null) return true
  return false
}
