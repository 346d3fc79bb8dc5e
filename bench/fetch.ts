import { bearerAuth } from 'polywire/auth'
import { createFetch } from 'polywire/fetch'
import type { Comparison } from './support/ab.ts'
import { lanes } from './support/ab.ts'

/** The fetch face with the whole chain and a credential on, against the platform's own fetch: calls per CPU second. */
export function fetchFace(
  port: number,
  rounds: number,
): { readonly comparisons: Comparison[]; close(): Promise<void> } {
  const origin = `http://127.0.0.1:${port}`
  const face = createFetch({ origin, auth: bearerAuth(() => 'token') })
  const body = JSON.stringify({ name: 'Ada Lovelace' })
  const authorization = 'Bearer token'
  const types = { accept: 'application/json', 'content-type': 'application/json' }
  const { signal } = new AbortController()
  const compared = (title: string, calls: Record<string, () => Promise<unknown>>): Comparison => ({
    title,
    calls: 160,
    rounds: rounds * 5,
    warmUpCalls: 4_000,
    variants: Object.entries(calls).map(([name, call]) => ({ name, run: lanes(16, call) })),
  })
  return {
    comparisons: [
      compared('fetch GET and json(), 16 at a time', {
        'global fetch': async () => (await fetch(`${origin}/users/42`, { headers: { authorization } })).json(),
        polywire: async () => (await face(`${origin}/users/42`)).json(),
      }),
      compared('fetch POST with a signal and text(), 16 at a time', {
        'global fetch': async () =>
          (
            await fetch(`${origin}/users`, { method: 'POST', headers: { ...types, authorization }, body, signal })
          ).text(),
        polywire: async () => (await face(`${origin}/users`, { method: 'POST', headers: types, body, signal })).text(),
      }),
      compared('fetch of a Request, read as a stream, 16 at a time', {
        'global fetch': async () =>
          drain(await fetch(new Request(`${origin}/users/42`, { headers: { authorization } }))),
        polywire: async () => drain(await face(new Request(`${origin}/users/42`))),
      }),
    ],
    close: () => face.close(),
  }
}

async function drain({ body }: Response): Promise<void> {
  for await (const _ of body as ReadableStream<Uint8Array>);
}
