import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** One program of the documentation: a ```ts block and the ```ts more blocks that continue it. */
export interface Program {
  /** `README-1`, `errors-2` … */
  readonly name: string
  readonly file: string
  /** Line of its first block. */
  readonly line: number
  readonly code: string
  /** `before` and the next `after` of a page must print the same; `compile` is not run; `browser` wants a page around it. */
  readonly words: readonly string[]
}

/**
 * Cuts a page into programs. ```ts starts one, ```ts more goes on with it; ```ts before and ```ts after are a pair, ```ts
 * compile is for code that runs elsewhere (a framework, a worker): it is compiled, and run by elsewhere.test.ts where that can be stood
 * in for. Other languages are left alone.
 */
export function programsOf(root: string, file: string): Program[] {
  const programs: { name: string; file: string; line: number; code: string; words: string[] }[] = []
  const base = file
    .replace(/^docs\//, '')
    .replace(/\.md$/, '')
    .replaceAll('/', '-')
  let open: { readonly words: string[]; readonly line: number; readonly lines: string[] } | undefined
  for (const [index, text] of readFileSync(join(root, file), 'utf8').split('\n').entries()) {
    const fence = /^```(\S*)\s*(.*)$/.exec(text)
    if (open && fence) {
      const code = open.lines.join('\n')
      const last = programs.at(-1)
      if (open.words.includes('more') && last) last.code += `\n${code}`
      else programs.push({ name: `${base}-${programs.length + 1}`, file, line: open.line, code, words: open.words })
      open = undefined
    } else if (fence && /^tsx?$/.test(fence[1] ?? '')) {
      const words = (fence[2] ?? '').split(' ').filter(Boolean)
      open = { words: fence[1] === 'tsx' ? [...words, 'compile'] : words, line: index + 1, lines: [] }
    } else if (open) open.lines.push(text)
  }
  return programs
}
