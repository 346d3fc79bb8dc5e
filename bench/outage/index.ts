import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { peers, polywire } from './policies.ts'
import { toMarkdown, toSvg, toText } from './report.ts'
import { judge, standard } from './scenarios.ts'
import { type Settings, toScenario } from './settings.ts'
import type { Policy } from './simulate.ts'

/**
 * `npm run outage`: what an outage becomes by the ways in which clients retry; table and plot go into docs/retries.md.
 * `npm run outage -- --settings my.json` runs your own settings beside them, and writes a plot of its own.
 */
const { values } = parseArgs({
  options: { settings: { type: 'string' }, svg: { type: 'string', default: 'outage.svg' }, seed: { type: 'string' } },
})
const seed = Number(values.seed ?? 20261129)
const root = new URL('../../', import.meta.url)

function run(scenario: typeof standard, policies: readonly Policy[]) {
  const judged = policies.map((policy) => judge(policy, scenario, seed))
  console.log(`seed ${seed}\n\n${toText(judged)}\n`)
  return judged
}

if (values.settings === undefined) {
  const judged = run(standard, [polywire('Polywire'), ...peers])
  mkdirSync(new URL('docs/assets/', root), { recursive: true })
  writeFileSync(new URL('docs/assets/outage.svg', root), toSvg(judged, standard))
  const page = new URL('docs/retries.md', root)
  const between = /(<!-- outage: .*? -->\n).*?(<!-- \/outage -->)/s
  const sources = peers.map(({ name, source }) => `${name}: ${source}`).join('. ')
  const text = readFileSync(page, 'utf8').replace(
    between,
    (_, head, tail) => `${head}\n${toMarkdown(judged)}\n\nWhat each does: ${sources}.\n\n${tail}`,
  )
  writeFileSync(page, text)
} else {
  const settings = JSON.parse(readFileSync(values.settings, 'utf8')) as Settings
  const scenario = toScenario(settings)
  const own = polywire(settings.name ?? 'your settings', settings.retry === false ? { maxAttempts: 1 } : settings.retry)
  const judged = run(scenario, [own, polywire('Polywire, defaults'), ...peers])
  writeFileSync(values.svg, toSvg(judged, scenario))
  console.log(`plotted in ${values.svg}`)
}
