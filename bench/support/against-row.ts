/** One row of one checkout in a process of its own, `<title> <folder> <port> <socketPort>`: told to, it runs a block, and says what a call cost. */
import { openCheckout } from './checkout.ts'

/** The compiler has settled by then: what runs once for ten milliseconds is measured half compiled; ms. */
const warmUpMs = 1000
/** A block lasts so long at least, or whom the collector meets decides it; ms. */
const blockMs = 50

const [title = '', folder = '', port, socketPort] = process.argv.slice(2)
const { rows } = await openCheckout(folder, Number(port), Number(socketPort))
const row = rows[title]
if (!row) throw new Error(`no row '${title}'`)
const { calls, run } = row

/** Runs calls for so long; how many they were. */
async function runFor(ms: number): Promise<number> {
  const begin = performance.now()
  let count = 0
  do {
    await run(calls)
    count += calls
  } while (performance.now() - begin < ms)
  return count
}

await runFor(warmUpMs)
process.on('message', async () => {
  const begin = process.cpuUsage()
  const count = await runFor(blockMs)
  const { user, system } = process.cpuUsage(begin)
  process.send?.((user + system) / count)
})
process.send?.('ready')
