/** Pulls from any platform's stream: Safari's ReadableStream does not iterate. */
export function iteratorOf<T>(stream: AsyncIterable<T> | ReadableStream<T>): AsyncIterator<T> {
  if (Symbol.asyncIterator in stream) return stream[Symbol.asyncIterator]()
  const reader = (stream as ReadableStream<T>).getReader()
  return {
    next: () => reader.read() as Promise<IteratorResult<T>>,
    return: () => reader.cancel().then(() => ({ done: true, value: undefined })),
  }
}

/** An iterator as a WHATWG stream that reads nothing ahead. */
export function toReadable(
  source: AsyncIterator<Uint8Array, undefined>,
  cancel: () => unknown,
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const step = await source.next()
        if (step.done) controller.close()
        else controller.enqueue(step.value)
      },
      cancel: async () => {
        await cancel()
      },
    },
    { highWaterMark: 0 },
  )
}
