import type { Stage } from './stage.ts'

type Streaming = 'sse' | 'websocket' | 'grpc-web'
const total = 60
const everyMs = 10
/** Messages after which each connection is reset, one connection after the other. */
const kills = [12, 15]

/** Streams are killed again and again while their servers go on publishing. */
export async function killedStreams(stage: Stage): Promise<void> {
  const { demo, servers } = stage
  stage.begin(`Killed streams: ${total} messages each, ${kills.length} connections reset on the way`)
  const streams = {
    sse: demo.api.sse.positions({ id: 7 }),
    websocket: demo.api.websocket.positions({ id: 7 }),
    'grpc-web': demo.api.grpc.positions({ id: 7 }),
  }
  const follow = async (protocol: Streaming): Promise<void> => {
    const feed = servers.feeds[protocol]
    servers.chaos.plan(protocol, ...kills.map((after) => ({ kind: 'kill', after }) as const))
    feed.run(total, everyMs)
    const received: number[] = []
    let failure = ''
    const read = async () => {
      for await (const { number } of streams[protocol]) {
        received.push(number)
        if (number === total) break
      }
    }
    const { resumes } = await stage.counting(protocol, () => read().catch((error) => (failure = String(error))))
    const distinct = new Set(received).size
    const tally = stage.recorder.tallies[protocol]
    tally.lost += feed.published - distinct
    tally.duplicated += received.length - distinct
    stage.expect(resumes === kills.length, `${protocol}: resumed ${resumes} times after ${kills.length} resets`)
    const isWhole = received.every((number, index) => number === index + 1) && received.length === total
    const count = `${distinct} of ${total} messages, ${tally.lost} lost, ${tally.duplicated} twice`
    stage.expect(isWhole, `${protocol}: ${failure || count}`)
  }
  await Promise.all([follow('sse'), follow('websocket'), follow('grpc-web')])
}
