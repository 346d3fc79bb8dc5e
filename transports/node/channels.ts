import { type Channel, channel } from 'node:diagnostics_channel'
import type { Telemetry } from '../../src/core/call/telemetry.ts'
import { eventTelemetry } from '../../src/telemetry/events.ts'

/**
 * Publishes what happens to calls on Node's `diagnostics_channel`, each event under its type: `polywire:call:start`,
 * `polywire:call:end`, `polywire:attempt:start`, `polywire:attempt:end`, `polywire:retry` … Where nobody has subscribed,
 * nothing is made.
 *
 * @example
 * createClient({ transports, telemetry: diagnosticsChannel() })
 * subscribe('polywire:call:end', (event) => { … })
 */
export function diagnosticsChannel(): Telemetry {
  // Kept, since a channel that nobody holds is collected, and with it what has subscribed to it.
  const channels = new Map<string, Channel>()
  const channelOf = (type: string): Channel => {
    let found = channels.get(type)
    if (!found) channels.set(type, (found = channel(`polywire:${type}`)))
    return found
  }
  return eventTelemetry(
    (event) => channelOf(event.type).publish(event),
    (type) => channelOf(type).hasSubscribers,
  )
}
