import type { Judged } from './scenarios.ts'
import type { Scenario } from './simulate.ts'

const times = (value: number): string => `${value.toFixed(2)}×`
const percent = (share: number): string => `${(share * 100).toFixed(share < 0.01 ? 2 : 1)} %`
const recovery = (seconds: number): string =>
  Number.isFinite(seconds) ? (seconds === 0 ? 'at once' : `${seconds} s`) : '**never**'

const columns: readonly (readonly [title: string, cell: (judged: Judged) => string])[] = [
  ['', ({ policy }) => policy.name],
  ['requests a call', ({ outage }) => times(outage.amplification)],
  ['of busy processes', ({ busy }) => times(busy.amplification)],
  ['peak after', ({ outage }) => times(outage.peak)],
  ['recovers', ({ outage }) => recovery(outage.recoveryS)],
  ['with Retry-After: requests a call', ({ hinted }) => times(hinted.amplification)],
  ['peak after', ({ hinted }) => times(hinted.peak)],
  ['recovers', ({ hinted }) => recovery(hinted.recoveryS)],
  ['failed at 20 % errors', ({ errors }) => percent(errors.failed)],
]

/** Rows of cells, the first one the titles. */
function toRows(judged: readonly Judged[]): string[][] {
  return [columns.map(([title]) => title), ...judged.map((each) => columns.map(([, cell]) => cell(each)))]
}

/** A table as Markdown writes it. */
export function toMarkdown(judged: readonly Judged[]): string {
  const [head = [], ...rows] = toRows(judged)
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** A table for a terminal. */
export function toText(judged: readonly Judged[]): string {
  const rows = toRows(judged).map((cells) => cells.map((cell) => cell.replaceAll('*', '')))
  const widths = columns.map((_, column) => Math.max(...rows.map((cells) => (cells[column] as string).length)))
  return rows.map((cells) => cells.map((cell, n) => cell.padEnd(widths[n] as number)).join('  ')).join('\n')
}

const panel = { width: 250, height: 96, gap: 14, left: 34, top: 20 }
const perLine = 3

/** One small chart a policy: what reaches the service against its capacity, and how many calls are answered. */
export function toSvg(judged: readonly Judged[], scenario: Scenario): string {
  const most = Math.ceil(Math.max(1.5, ...judged.flatMap(({ outage }) => outage.load)))
  const lines = Math.ceil(judged.length / perLine)
  const width = perLine * (panel.width + panel.gap) + panel.gap
  const height = lines * (panel.height + panel.top + panel.gap) + 34
  const charts = judged.map((each, n) => {
    const x = panel.gap + (n % perLine) * (panel.width + panel.gap)
    const y = panel.gap + Math.floor(n / perLine) * (panel.height + panel.top + panel.gap)
    return `<g transform="translate(${x} ${y})">${chart(each, scenario, most)}</g>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" font-family="system-ui, sans-serif" font-size="11">
<title>Requests that reach a service during and after an outage, by how its clients retry</title>
<rect width="100%" height="100%" fill="#fff"/>
${charts.join('\n')}
<text x="${panel.gap}" y="${height - 14}" fill="#444">Filled: requests of each second against the capacity (the dashed line is 1). Line: calls answered within 2 s, of those begun. Grey: the outage.</text>
</svg>
`
}

function chart({ policy, outage }: Judged, { outage: down, endS }: Scenario, most: number): string {
  const { width, height, left, top } = panel
  const x = (second: number): string => (left + ((width - left) * second) / endS).toFixed(1)
  const y = (share: number, of: number): string => (top + height * (1 - Math.min(1, share / of))).toFixed(1)
  const path = (values: readonly number[], of: number): string =>
    values.map((value, second) => `${x(second)},${y(value, of)}`).join(' ')
  const band = down
    ? `<rect x="${x(down.fromS)}" y="${top}" width="${(((width - left) * (down.toS - down.fromS)) / endS).toFixed(1)}" height="${height}" fill="#e8e8e8"/>`
    : ''
  const bottom = top + height
  // Nobody knows yet what becomes of the last calls.
  const answered = outage.answered.slice(0, -3)
  return [
    `<text x="${left}" y="13" font-weight="600" fill="#222">${escaped(policy.name)}</text>`,
    band,
    `<polygon points="${left},${bottom} ${path(outage.load, most)} ${width},${bottom}" fill="#d9643a" fill-opacity=".75"/>`,
    `<line x1="${left}" x2="${width}" y1="${y(1, most)}" y2="${y(1, most)}" stroke="#222" stroke-dasharray="3 3"/>`,
    `<polyline points="${path(answered, 1)}" fill="none" stroke="#22734a" stroke-width="1.4"/>`,
    `<line x1="${left}" x2="${width}" y1="${bottom}" y2="${bottom}" stroke="#888"/>`,
    `<text x="${left - 4}" y="${top + 8}" text-anchor="end" fill="#666">${most}×</text>`,
    `<text x="${left - 4}" y="${Number(y(1, most)) + 4}" text-anchor="end" fill="#666">1</text>`,
    `<text x="${width}" y="${bottom + 12}" text-anchor="end" fill="#666">${endS} s</text>`,
  ].join('')
}

function escaped(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;')
}
