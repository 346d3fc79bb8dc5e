/** A promise that a test settles: a handler's end, or what it waits for. */
export class Resolvable<T> {
  resolve!: (value: T) => void
  readonly promise = new Promise<T>((resolve) => {
    this.resolve = resolve
  })
}
