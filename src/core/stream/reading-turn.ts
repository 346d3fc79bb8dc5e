/** Whose turn it is to read a stream: a reader that another one has taken over from gets no second one. */
export class ReadingTurn {
  #holder: object | undefined
  #displaced: WeakSet<object> | undefined

  get holder(): object | undefined {
    return this.#holder
  }

  /** It is their turn, or nobody's. */
  isOf(who: object): boolean {
    return !this.#holder || this.#holder === who
  }

  take(who: object): boolean {
    if (this.#displaced?.has(who)) return false
    if (this.#holder) (this.#displaced ??= new WeakSet()).add(this.#holder)
    this.#holder = who
    return true
  }
}
