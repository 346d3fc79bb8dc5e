import { protocols } from '../servers/chaos.ts'
import type { Stage } from './stage.ts'

const retryAfterS = 1

/** Every server says 503, come back in a second, in the words of its protocol. */
export async function busyServers(stage: Stage): Promise<void> {
  const { demo, servers, recorder } = stage
  stage.begin('503 with Retry-After: every server is busy once')
  const startedAt = recorder.elapsedMs
  const runs = protocols.map(async (protocol) => {
    servers.chaos.plan(protocol, { kind: 'busy', retryAfterS })
    return stage.counting(protocol, () => demo.parcel[protocol](8))
  })
  const tallies = await Promise.all(runs)
  const retries = tallies.reduce((sum, tally) => sum + tally.retries, 0)
  const attempts = tallies.reduce((sum, tally) => sum + tally.attempts, 0)
  const waits = recorder.tracks
    .filter((track) => track.startedAt >= startedAt)
    .flatMap(({ moments }) => moments.flatMap((moment) => (moment.kind === 'wait' ? [moment.waitMs] : [])))
  stage.expect(
    retries === protocols.length && attempts === 2 * protocols.length,
    `${protocols.length} calls, ${attempts} attempts, ${retries} retries: each was sent again once`,
  )
  const earliest = Math.min(...waits)
  stage.expect(earliest >= retryAfterS * 1000, `nobody came back before the ${retryAfterS} s were over`)
}
