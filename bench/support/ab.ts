/** One way of doing the work: `run(n)` does it n times. */
export interface Variant {
  readonly name: string
  readonly run: (times: number) => Promise<void>
}

/** CPU time of one variant, and its speed against the first one, paired inside each round. */
export interface Measured {
  readonly name: string
  /** Median CPU time of one call, user and system, in µs. */
  readonly cpuUs: number
  /** Calls per CPU second against the baseline: median and quartiles of the rounds. */
  readonly ratio: number
  readonly low: number
  readonly high: number
}

/** What is measured: a baseline first, then the others. */
export interface Comparison {
  readonly title: string
  readonly variants: readonly Variant[]
  /** Calls in a block. */
  readonly calls: number
  readonly rounds: number
  /** Calls of each variant before anything is measured. @defaultValue the larger of 300 and `calls` */
  readonly warmUpCalls?: number
}

/**
 * A/B in one process: blocks in an order that is shuffled every round, ratios paired inside the round, CPU time rather
 * than the clock's, since the machine is shared.
 */
export async function compare({ variants, calls, rounds, warmUpCalls }: Comparison): Promise<Measured[]> {
  const costs: Costs = Object.fromEntries(variants.map((variant) => [variant.name, []]))
  for (const variant of variants) await variant.run(warmUpCalls ?? Math.max(calls, 300))
  for (let round = 0; round < rounds; round++) {
    for (const variant of shuffled(variants)) {
      const begin = process.cpuUsage()
      await variant.run(calls)
      const spent = process.cpuUsage(begin)
      costs[variant.name]?.push((spent.user + spent.system) / calls)
    }
  }
  return judged(costs)
}

/** CPU time of one call by rounds, in µs, by the name of the variant. */
type Costs = Readonly<Record<string, number[]>>

/** Each variant against the first one, round by round. */
export function judged(costs: Costs): Measured[] {
  const [base = []] = Object.values(costs)
  return Object.entries(costs).map(([name, own]) => {
    const ratios = own.map((cost, round) => (base[round] ?? Number.NaN) / cost).sort(ascending)
    return {
      name,
      cpuUs: quantile([...own].sort(ascending), 0.5),
      ratio: quantile(ratios, 0.5),
      low: quantile(ratios, 0.25),
      high: quantile(ratios, 0.75),
    }
  })
}

/** Runs `call` in `width` lanes until it has been called `times` times. */
export function lanes(width: number, call: () => Promise<unknown>): (times: number) => Promise<void> {
  return async (times) => {
    let left = times
    const lane = async () => {
      while (left-- > 0) await call()
    }
    await Promise.all(Array.from({ length: width }, lane))
  }
}

function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((item) => [Math.random(), item] as const)
    .sort((a, b) => a[0] - b[0])
    .map(([, item]) => item)
}

function quantile(sorted: readonly number[], at: number): number {
  return sorted[Math.floor((sorted.length - 1) * at)] ?? Number.NaN
}

function ascending(a: number, b: number): number {
  return a - b
}
