import { describe } from 'vitest'
import { fetchFace } from './harnesses/fetch.ts'
import { aborts } from './suite/aborts.ts'
import { closing } from './suite/closing.ts'
import { deadlines } from './suite/deadlines.ts'

/** What of the suite does not speak of errors by status, which a fetch gives as Responses: `test/policies` has the rest. */
describe('fetch', () => {
  deadlines(fetchFace)
  aborts(fetchFace)
  closing(fetchFace)
})
