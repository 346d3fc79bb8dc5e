import { createParser } from 'eventsource-parser'
import { createClient, type } from 'polywire'
import { events, sseTransport } from 'polywire/sse'
import { Agent } from 'undici'
import type { Comparison } from './support/ab.ts'

const perStream = 20_000

/** SSE through the public iterator against the bare parser over undici's dispatch, both with JSON parsed: events per CPU second. */
export function sse(port: number, rounds: number): { readonly comparisons: Comparison[]; close(): Promise<void> } {
  const origin = `http://127.0.0.1:${port}`
  const client = createClient({ transports: { sse: sseTransport({ baseUrl: origin }) } })
  const watch = events('/sse/{count}', { message: type<{ n: number }>() })
  const agent = new Agent()
  const streams = (stream: () => Promise<number>) => async (times: number) => {
    for (let seen = 0; seen < times; ) seen += await stream()
  }
  const iterate = async () => {
    let seen = 0
    for await (const event of client.call(watch, { count: perStream })) {
      if (event.data.n > 0) seen++
      if (seen === perStream) break
    }
    return seen
  }
  const subscribe = () =>
    new Promise<number>((resolve, reject) => {
      let seen = 0
      const stop = client.call(watch, { count: perStream }).subscribe({
        next: (event) => {
          if (event.data.n > 0) seen++
          if (seen < perStream) return
          stop()
          resolve(seen)
        },
        error: reject,
      })
    })
  return {
    comparisons: [
      {
        title: 'SSE, an event with its JSON parsed',
        calls: perStream * 2,
        rounds,
        variants: [
          { name: 'eventsource-parser, callback', run: streams(() => bare(agent, origin)) },
          { name: 'polywire, subscribe', run: streams(subscribe) },
          { name: 'polywire, for await', run: streams(iterate) },
        ],
      },
    ],
    close: async () => {
      await client.close()
      await agent.close()
    },
  }
}

/** What the parser costs alone: dispatch, decode, feed, JSON.parse in its callback. */
function bare(agent: Agent, origin: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let seen = 0
    const decoder = new TextDecoder()
    const parser = createParser({
      onEvent: (event) => {
        if ((JSON.parse(event.data) as { n: number }).n > 0) seen++
      },
    })
    agent.dispatch({ origin, path: `/sse/${perStream}`, method: 'GET' }, {
      onRequestStart() {},
      onResponseStart() {},
      onResponseData: (_controller: unknown, chunk: Buffer) => parser.feed(decoder.decode(chunk, { stream: true })),
      onResponseEnd: () => resolve(seen),
      onResponseError: (_controller: unknown, error: Error) => reject(error),
    } as never)
  })
}
