/** One row of one checkout in a process of its own, `<title> <folder> <port> <socketPort>`: told to, it runs a block, and says what a call cost. */
import { openCheckout } from './checkout.ts'

const [title = '', folder = '', port, socketPort] = process.argv.slice(2)
const { rows } = await openCheckout(folder, Number(port), Number(socketPort))
const row = rows[title]
if (!row) throw new Error(`no row '${title}'`)
const { calls, run } = row
await run(Math.max(2_000, calls))

process.on('message', async () => {
  const begin = process.cpuUsage()
  await run(calls)
  const { user, system } = process.cpuUsage(begin)
  process.send?.((user + system) / calls)
})
process.send?.('ready')
