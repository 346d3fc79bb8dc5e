import type { Stream } from 'polywire'
import { expect } from 'vitest'
import { seeded } from './seeded.ts'
import type { SseServer } from './servers/sse-server.ts'

/** Drops a stream at random while its server publishes: every event must come once, in order. */
export async function soakSse(
  server: SseServer,
  stream: Stream<{ readonly data: string }>,
  { drops, events, seed }: { readonly drops: number; readonly events: number; readonly seed: number },
): Promise<void> {
  const random = seeded(seed)
  const got: string[] = []
  stream.subscribe({ next: ({ data }) => got.push(data), error: (error) => got.push(String(error)) })
  await server.until(() => server.open === 1)
  let left = drops
  for (let n = 1; n <= events; n++) {
    server.publish(String(n))
    if (left === 0 || random() > (drops / events) * 1.2) continue
    left--
    const { length } = server.requests
    server.drop(random() < 0.5 ? 'reset' : 'end')
    // Now and then the server goes on while nobody listens.
    if (random() < 0.7) await server.until(() => server.requests.length > length && server.open > 0)
  }
  while (got.length < events) await new Promise((resolve) => setTimeout(resolve, 1))
  expect(got, `seed ${seed}`).toEqual(Array.from({ length: events }, (_, n) => String(n + 1)))
  await stream.close()
}
