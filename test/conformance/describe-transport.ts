import { describe } from 'vitest'
import { aborts } from './suite/aborts.ts'
import { authentication } from './suite/authentication.ts'
import { closing } from './suite/closing.ts'
import { deadlines } from './suite/deadlines.ts'
import { faults } from './suite/faults.ts'
import { outcomes } from './suite/outcomes.ts'
import { retries } from './suite/retries.ts'
import { streams } from './suite/streams.ts'
import { telemetry } from './suite/telemetry.ts'
import type { Harness } from './support/harness.ts'

/** What every transport must do, against its real server, through a client with the whole default chain. */
export function describeTransport(name: string, harness: Harness): void {
  describe(name, () => {
    outcomes(harness)
    faults(harness)
    retries(harness)
    deadlines(harness)
    aborts(harness)
    streams(harness)
    authentication(harness)
    closing(harness)
    telemetry(harness)
  })
}
