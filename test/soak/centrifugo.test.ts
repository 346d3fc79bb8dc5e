import { describe } from 'vitest'
import { describeCentrifugo } from '../support/centrifugo-suite.ts'
import { obstacleToCentrifugo } from '../support/servers/centrifugo-server.ts'

// Here, since it takes minutes to build the server for the first time; test/transports/wires runs it once it is there.
const why = await obstacleToCentrifugo()
if (why) describe.skip(`Centrifugo (skipped: ${why})`)
else describeCentrifugo()
