import type { Scope } from '../call/scope.ts'
import type { Outbox } from '../outbox/outbox.ts'
import { sleep } from '../time/bounded.ts'

/** Waits until what a closing duplex has to send is written, for a while. */
export async function linger(outbox: Outbox, scope: Scope, lingerMs: number): Promise<void> {
  if (scope.isOver) return
  const lingering = scope.fork()
  await Promise.race([outbox.flushed(), sleep(lingerMs, lingering).catch(() => {})])
  lingering.abort(undefined)
}
