/** Keeps the process from its timers and sockets for `ms`, between the two: what is due and what has come wait both. */
export function busy(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(() => {
      const until = performance.now() + ms
      while (performance.now() < until);
      resolve()
    })
  })
}
