import { describe, it } from 'vitest'
import { auth } from './auth.ts'
import { budget } from './budget.ts'
import { deadline } from './deadline.ts'
import { faces } from './faces.ts'
import { optIn } from './opt-in.ts'
import { safety } from './safety.ts'
import { throttling } from './throttling.ts'

/** The same policies, whatever the face: every row of the table by each of the six, against its real server. */
const table = { throttling, budget, safety, deadline, auth, 'opt-in': optIn }

describe.each(Object.entries(faces))('%s', (_face, harness) => {
  describe.each(Object.entries(table))('%s', (_policy, rows) => {
    it.each(rows.filter(({ isFor }) => !isFor || isFor(harness)))('$name', (row) => row.run(harness))
  })
})
