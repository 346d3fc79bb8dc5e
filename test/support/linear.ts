import { expect } from 'vitest'

/** How long reading takes grows with the length of what is read, not with its square: a server must not stop its clients. */
export function expectLinear(read: (value: string) => unknown, units: readonly string[], around = ['', '']): void {
  const [before = '', behind = ''] = around
  for (const unit of units) {
    const timeOf = (length: number): number => {
      const value = before + unit.repeat(Math.ceil(length / unit.length)) + behind
      const times = Array.from({ length: 3 }, () => {
        const start = process.cpuUsage()
        read(value)
        const { user, system } = process.cpuUsage(start)
        return (user + system) / 1000
      })
      return Math.min(...times)
    }
    // 40 times as long: a square would be 1,600 times.
    expect(timeOf(80_000), JSON.stringify(unit)).toBeLessThan(Math.max(200, timeOf(2_000) * 400))
  }
}

/** What headers are made of: the marks of their grammars. */
export const headerUnits = [
  ' ',
  '\t',
  ',',
  ', ',
  ';',
  '; ',
  '=',
  '="',
  '"',
  '\\',
  '\\"',
  'a',
  'a ',
  'a=',
  '<',
  '9',
  '-',
]
