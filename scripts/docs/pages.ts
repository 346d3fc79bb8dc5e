import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The pages that people wrote: README, docs without the generated reference, skills. */
export function pagesOf(root: string): string[] {
  const under = globSync('docs/**/*.md', { cwd: root, exclude: (name) => name === 'docs/api' || name === '.vitepress' })
  const skills = globSync('skills/**/*.md', { cwd: root })
  return ['README.md', ...under.filter((file) => !file.startsWith('docs/api/')).sort(), ...skills.sort()]
}

/** What those pages write as code: blocks, and words between backticks. */
export function handWritten(root: string): string {
  return pagesOf(root)
    .flatMap((file) => readFileSync(join(root, file), 'utf8').match(/```[\s\S]*?```|`[^`\n]+`/g) ?? [])
    .join('\n')
}

/** Pages of docs that llms.txt does not name, decisions and the table of contents aside. */
export function unnamedPages(root: string): string[] {
  const named = readFileSync(join(root, 'llms.txt'), 'utf8')
  return pagesOf(root).filter((file) => /^docs\/(?!decisions|index\.md)/.test(file) && !named.includes(`/${file})`))
}
