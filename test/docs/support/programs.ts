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
}

/** Cuts a page into programs. ```ts starts one, ```ts more goes on with it; other languages are not run. */
export function programsOf(root: string, file: string): Program[] {
  const programs: { name: string; file: string; line: number; code: string }[] = []
  const base = file
    .replace(/^docs\//, '')
    .replace(/\.md$/, '')
    .replaceAll('/', '-')
  let open: { readonly isMore: boolean; readonly line: number; readonly lines: string[] } | undefined
  for (const [index, text] of readFileSync(join(root, file), 'utf8').split('\n').entries()) {
    const fence = /^```(\S*)\s*(.*)$/.exec(text)
    if (open && fence) {
      const code = open.lines.join('\n')
      const last = programs.at(-1)
      if (open.isMore && last) last.code += `\n${code}`
      else programs.push({ name: `${base}-${programs.length + 1}`, file, line: open.line, code })
      open = undefined
    } else if (fence?.[1] === 'ts') open = { isMore: fence[2] === 'more', line: index + 1, lines: [] }
    else if (open) open.lines.push(text)
  }
  return programs
}
