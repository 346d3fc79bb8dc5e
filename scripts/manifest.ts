/**
 * package.json as it is published: without the condition `polywire-source`, whose files are not in the package, and
 * without what only this repository needs. `npm pack` runs `strip` before and `restore` after (prepack, postpack).
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'

const here = ['devDependencies', 'overrides', 'allowScripts', 'scripts']
const backup = '.cache/package.json'

export function publishedManifest(manifest: Record<string, unknown>): Record<string, unknown> {
  const kept = Object.entries(manifest).filter(([key]) => !here.includes(key))
  return withoutSource(Object.fromEntries(kept)) as Record<string, unknown>
}

function withoutSource(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const kept = Object.entries(value).filter(([key]) => key !== 'polywire-source')
  return Object.fromEntries(kept.map(([key, inner]) => [key, withoutSource(inner)]))
}

if (import.meta.main && process.argv[2] === 'strip') {
  const text = readFileSync('package.json', 'utf8')
  // Stripped already, by a pack that was cut short: its backup is the true one.
  if (text.includes('polywire-source')) {
    mkdirSync('.cache', { recursive: true })
    writeFileSync(backup, text)
    writeFileSync('package.json', `${JSON.stringify(publishedManifest(JSON.parse(text)), null, 2)}\n`)
  }
}
if (import.meta.main && process.argv[2] === 'restore') renameSync(backup, 'package.json')
