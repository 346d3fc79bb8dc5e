import { type Protocol, protocols } from '../servers/chaos.ts'
import type { Stage } from './stage.ts'

const callsEach = 10

/** The token expires while 50 calls of five protocols are on their way. */
export async function expiredToken(stage: Stage): Promise<void> {
  const { demo, servers, recorder, timeline } = stage
  const total = callsEach * protocols.length
  stage.begin(`An expired token during ${total} parallel calls`, { isTerse: true })
  const refreshesBefore = recorder.refreshes
  const before = sum(stage, 'replays')
  servers.chaos.expireToken()
  const calls = protocols.flatMap((protocol) => Array.from({ length: callsEach }, (_, n) => ask(protocol, n)))
  const answered = (await Promise.allSettled(calls)).filter(({ status }) => status === 'fulfilled').length
  const refreshes = recorder.refreshes - refreshesBefore
  const replays = sum(stage, 'replays') - before
  timeline.note(`${total} calls went out with the old token, ${replays} were refused and sent again`)
  stage.expect(answered === total, `${answered} of ${total} calls succeeded`)
  stage.expect(refreshes === 1, `${refreshes} refresh for all of them`)
  stage.expect(replays === total, `each was replayed once: ${replays} replays`)

  async function ask(protocol: Protocol, n: number): Promise<void> {
    await demo.parcel[protocol](n)
  }
}

function sum({ recorder }: Stage, what: 'replays'): number {
  return protocols.reduce((total, protocol) => total + recorder.tallies[protocol][what], 0)
}
