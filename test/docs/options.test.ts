import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { convert } from '../../scripts/docs/model.ts'
import { findings, type OptionType, optionsOf, optionsPage } from '../../scripts/docs/options.ts'

const root = join(import.meta.dirname, '../..')

describe('the check of options', () => {
  let options: OptionType[]
  beforeAll(async () => {
    const source = join(import.meta.dirname, 'fixtures/options.ts')
    options = optionsOf((await convert(root, new Map([[source, 'polywire/faulty']]))).project)
  }, 180_000)

  it('finds what has no sentence, no unit, no default', () => {
    const pages = '`silent` `waitMs` `size` `goodMs` `title`'
    expect(findings(options, pages)).toEqual([
      'FaultyOptions.silent has no sentence in its TSDoc',
      'FaultyOptions.waitMs is optional, and has no @defaultValue',
      'FaultyOptions.size is a number without a unit',
    ])
  })

  it('finds what no page names', () => {
    expect(findings(options, '`silent` `waitMs` `size` `title`')).toContain(
      'FaultyOptions.goodMs is in no page of README and docs',
    )
  })

  it('shows each with type, unit and default', () => {
    const page = optionsPage(options)
    expect(page).toContain('Of `polywire/faulty`, taken by `faulty`.')
    expect(page).toContain('| `goodMs` | `number` | ms | 10 | All is well. |')
    expect(page).toContain('| `silent` | `string` |  | *required* |  |')
  })
})
