import { isCallError } from 'polywire'
import { ms } from '../terminal/paint.ts'
import type { Stage } from './stage.ts'

const services = ['A (REST)', 'B (gRPC-Web)', 'C (GraphQL)']

/** Service A asks B, B asks C; each gets what the one before it has left. */
export async function shrinkingDeadline(stage: Stage): Promise<void> {
  const { demo, servers, timeline } = stage
  stage.begin('A deadline that shrinks hop by hop')
  const timeoutMs = 2000
  const { remainingMs } = await demo.api.rest.quote({ id: 3 }, { timeoutMs })
  const seen = [...remainingMs].reverse()
  timeline.note(
    `caller ${ms(timeoutMs)}${services.map((name, hop) => ` → ${name} ${ms(seen[hop] ?? Number.NaN)}`).join('')}`,
  )
  const budgets = [timeoutMs, ...seen]
  const { workMs, asked } = servers.hops
  const shrinks = seen.map((left, hop) => (budgets[hop] ?? 0) - left)
  const isShrinking = seen.length === services.length && shrinks.every((by, hop) => by >= (hop === 0 ? 0 : workMs))
  stage.expect(isShrinking, `each hop gets what is left: at least the ${workMs} ms less that the one before worked`)

  stage.wantedErrors++
  const tight = Math.round(1.5 * workMs)
  const error = await demo.api.rest.quote({ id: 3 }, { timeoutMs: tight }).catch((thrown: unknown) => thrown)
  // The caller's clock and A's stop at about the same time; on a busy machine A may say it first, with 504.
  const { code = 'no error', status } = isCallError(error) ? error : {}
  stage.expect(code === 'deadline_exceeded' || status === 504, `with ${ms(tight)} the call ends with ${code}`)
  await new Promise((resolve) => setTimeout(resolve, 2 * workMs))
  stage.expect(servers.hops.asked === asked, 'and C is never asked: B had nothing left to give')
}
