/** One row of two checkouts in a process of its own: `<title> <rounds> <port> <socketPort> <folder of the first> <of the second>`. */
import { costsOf } from './ab.ts'
import { openCheckout } from './checkout.ts'

const [title = '', rounds, port, socketPort, ...folders] = process.argv.slice(2)
const variants = []
let calls = 0
for (const name of folders) {
  const checkout = await openCheckout(name, Number(port), Number(socketPort))
  const row = checkout.rows[title]
  if (!row) throw new Error(`no row '${title}'`)
  calls = row.calls
  variants.push({ name, run: async (times: number) => void (await row.run(times)) })
}
const costs = await costsOf({ title, variants, calls, rounds: Number(rounds), warmUpCalls: Math.max(2_000, calls) })
process.send?.(costs, () => process.exit())
