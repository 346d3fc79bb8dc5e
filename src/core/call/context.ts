/** A typed key for values that travel with a call, made by {@link createContextKey}. */
export interface ContextKey<T> {
  readonly id: symbol
  readonly defaultValue: T
}

/**
 * Makes a key for values that a caller passes to interceptors in the `context` option.
 *
 * @example
 * const tenant = createContextKey('acme')
 * await api.users.get({ id: 1 }, { context: tenant.with('other') })
 */
export function createContextKey<T>(defaultValue: T): ContextKey<T> & { with(value: T): Context } {
  const key = { id: Symbol('context'), defaultValue }
  return { ...key, with: (value) => Context.empty.with(key, value) }
}

/** Typed values that travel with one call; immutable. */
export class Context {
  static readonly empty = new Context(new Map())
  readonly #values: ReadonlyMap<symbol, unknown>

  private constructor(values: ReadonlyMap<symbol, unknown>) {
    this.#values = values
  }

  get<T>(key: ContextKey<T>): T {
    return this.#values.has(key.id) ? (this.#values.get(key.id) as T) : key.defaultValue
  }

  with<T>(key: ContextKey<T>, value: T): Context {
    return new Context(new Map(this.#values).set(key.id, value))
  }
}
