import type { Protocol } from '../servers/chaos.ts'
import type { Stage } from './stage.ts'

/** A reset in the middle of an answer. */
export async function cutAnswers(stage: Stage): Promise<void> {
  const { demo, servers } = stage
  stage.begin('A reset in the middle of the answer')
  const calls: [Protocol, () => Promise<unknown>][] = [
    ['rest', () => demo.api.rest.label({ id: 9 })],
    ['graphql', () => demo.parcel.graphql(9)],
    ['grpc-web', () => demo.parcel['grpc-web'](9)],
  ]
  let whole = 0
  for (const [protocol, call] of calls) {
    servers.chaos.plan(protocol, { kind: 'cut' })
    const { attempts, errors } = await stage.counting(protocol, call)
    if (attempts === 2 && errors === 0) whole++
  }
  const { pixels } = await demo.api.rest.label({ id: 9 })
  stage.expect(
    whole === calls.length,
    `${whole} of ${calls.length} idempotent calls were sent again and came back whole`,
  )
  stage.expect(pixels.length === 200_000, `a label is ${pixels.length.toLocaleString('en')} characters long`)
}
