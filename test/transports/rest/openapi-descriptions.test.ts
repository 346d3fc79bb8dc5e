import { isDeepStrictEqual } from 'node:util'
import type { QueryStyle } from 'polywire/rest'
import { describe, expect, it } from 'vitest'
import { type DescriptionName, readDescription } from '../../support/openapi/document.ts'
import { exercise } from '../../support/openapi/exercise.ts'
import { startOpenApiMock } from '../../support/openapi/mock-server.ts'

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))

interface Published {
  readonly operations: number
  /** Of which the compiler refuses a few where there is no description for run time. */
  readonly typed: number
  readonly queryStyle?: QueryStyle
  readonly skip?: readonly string[]
}

const published: Readonly<Record<DescriptionName, Published>> = {
  // Requires a name that it forbids.
  github: { operations: 1222, typed: 1222, skip: ['POST /orgs/{org}/campaigns'] },
  stripe: { operations: 452, typed: 451, queryStyle: { arrays: 'indices' } },
  kubernetes: { operations: 845, typed: 845 },
  // The first requires a name that it does not describe; in the other lists are written in two ways.
  box: { operations: 258, typed: 256, queryStyle: { arrays: 'comma' }, skip: ['POST /oauth2/revoke', 'GET /search'] },
  twilio: { operations: 195, typed: 195 },
  adyen: { operations: 25, typed: 25 },
  openai: { operations: 28, typed: 28 },
}

// As JSON has them, which knows no difference between a name that is not there and one that is undefined.
const same = (one: unknown, other: unknown): boolean => isDeepStrictEqual(plain(one), plain(other))
const plain = (value: unknown): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)))

describe(`published descriptions, seed ${seed}`, () => {
  for (const [name, { operations, typed, queryStyle, skip }] of Object.entries(published)) {
    it(`${name}: with a description, a server reads of every operation what was passed, and its answer is what comes`, async () => {
      const document = readDescription(name as DescriptionName)
      await using mock = await startOpenApiMock(document)
      const { calls, failures } = await exercise(document, mock, { mode: 'described', seed, same, skip })
      expect(failures).toEqual([])
      expect(calls).toBe(operations)
    }, 60_000)

    it(`${name}: by the types alone, declared as the compiler asks`, async () => {
      const document = readDescription(name as DescriptionName)
      await using mock = await startOpenApiMock(document)
      const { calls, failures } = await exercise(document, mock, { mode: 'typed', seed, same, queryStyle, skip })
      expect(failures).toEqual([])
      expect(calls).toBeGreaterThanOrEqual(typed - 2)
    }, 60_000)
  }
})
