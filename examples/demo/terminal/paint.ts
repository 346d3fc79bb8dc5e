/** Colours by meaning; plain text where the output is no terminal. */
export interface Paint {
  readonly dim: Ink
  readonly bold: Ink
  readonly good: Ink
  readonly bad: Ink
  readonly wait: Ink
  readonly mark: Ink
}
type Ink = (text: string) => string

const plain: Ink = (text) => text
const ink =
  (open: number, close: number): Ink =>
  (text) =>
    `\x1b[${open}m${text}\x1b[${close}m`

/** Colours where there is a terminal that wants them (https://no-color.org). */
export function makePaint(isTerminal: boolean): Paint {
  if (!isTerminal || process.env.NO_COLOR)
    return { dim: plain, bold: plain, good: plain, bad: plain, wait: plain, mark: plain }
  return {
    dim: ink(2, 22),
    bold: ink(1, 22),
    good: ink(32, 39),
    bad: ink(31, 39),
    wait: ink(33, 39),
    mark: ink(36, 39),
  }
}

/** `1 234 ms`: thin enough to line up, grouped to be read. */
export function ms(duration: number): string {
  return `${String(Math.round(duration)).replace(/\B(?=(\d{3})+$)/g, ' ')} ms`
}

/** The first column fixes the others: texts to the left, numbers to the right. */
export function table(rows: readonly (readonly (string | number)[])[], indent = '  '): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)))
  return rows.map(
    (row) => indent + row.map((cell, at) => (at === 0 ? pad(cell, widths[at]) : padLeft(cell, widths[at]))).join('   '),
  )
}

const pad = (cell: string | number, width = 0) => String(cell).padEnd(width)
const padLeft = (cell: string | number, width = 0) => String(cell).padStart(width)
