import type { Outcome } from './scenes/stage.ts'
import { type Protocol, protocols } from './servers/chaos.ts'
import { ms, type Paint, table } from './terminal/paint.ts'
import type { Recorder, Tally } from './terminal/recorder.ts'

/** What `--json` prints. */
export interface Report {
  readonly protocols: Readonly<Record<Protocol, Tally>>
  readonly refreshes: number
  readonly expectations: readonly Outcome[]
  readonly isMet: boolean
  readonly tookMs: number
}

export function makeReport(recorder: Recorder, outcomes: readonly Outcome[]): Report {
  return {
    protocols: recorder.tallies,
    refreshes: recorder.refreshes,
    expectations: outcomes,
    isMet: outcomes.length > 0 && outcomes.every(({ isMet }) => isMet),
    tookMs: Math.round(recorder.elapsedMs),
  }
}

/** A row a protocol, and the verdict. */
export function summary(report: Report, paint: Paint): string[] {
  const columns = Object.keys(report.protocols.rest) as (keyof Tally)[]
  const rows = protocols.map((name) => [name, ...columns.map((column) => report.protocols[name][column])])
  const sums = columns.map((column) => protocols.reduce((sum, name) => sum + report.protocols[name][column], 0))
  const [head = '', ...body] = table([['', ...columns], ...rows, ['all', ...sums]])
  const last = body.pop() ?? ''
  const failed = report.expectations.filter(({ isMet }) => !isMet)
  const count = `${report.expectations.length - failed.length} of ${report.expectations.length} expectations met`
  const verdict = `${count}, ${report.refreshes} token refresh, ${ms(report.tookMs)}`
  return [
    '',
    paint.bold('Summary'),
    paint.dim(head),
    ...body,
    paint.dim(last),
    '',
    report.isMet ? paint.good(verdict) : paint.bad(verdict),
    ...failed.map(({ scene, expectation }) => paint.bad(`  ✗ ${scene}: ${expectation}`)),
  ]
}
