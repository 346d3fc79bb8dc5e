import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The pages that people wrote: README and docs without the generated reference. */
export function pagesOf(root: string): string[] {
  const under = globSync('docs/**/*.md', { cwd: root, exclude: (name) => name === 'docs/api' || name === '.vitepress' })
  return ['README.md', ...under.filter((file) => !file.startsWith('docs/api/')).sort()]
}

/** What those pages write as code: blocks, and words between backticks. */
export function handWritten(root: string): string {
  return pagesOf(root)
    .flatMap((file) => readFileSync(join(root, file), 'utf8').match(/```[\s\S]*?```|`[^`\n]+`/g) ?? [])
    .join('\n')
}
