import { parseArgs } from 'node:util'
import { summary } from './report.ts'
import { run } from './run.ts'
import { callingLines } from './serve.ts'
import { startServers } from './servers/index.ts'
import { makePaint } from './terminal/paint.ts'

const help = `npm run demo [-- flags]

  --json       print the figures as JSON and nothing else
  --serve      keep the five servers up and say how to call them
  --forgetful  the streams' servers forget a message that a client has missed:
               shows a broken expectation, exit code 1
`

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    serve: { type: 'boolean', default: false },
    forgetful: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const print = (line: string): void => console.log(line)
const paint = makePaint(process.stdout.isTTY === true)

if (flags.help) print(help)
else if (flags.serve) await serve()
else await play()

/** Plays the demo once; a broken expectation makes the exit code 1. */
async function play(): Promise<void> {
  const servers = await startServers({ isForgetful: flags.forgetful })
  try {
    const report = await run(servers, paint, flags.json ? () => {} : print)
    if (flags.json) print(JSON.stringify(report, undefined, 2))
    else for (const line of summary(report, paint)) print(line)
    process.exitCode = report.isMet ? 0 : 1
  } finally {
    await servers.close()
  }
}

/** Keeps the servers up until Ctrl-C. */
async function serve(): Promise<void> {
  const servers = await startServers({ isForgetful: flags.forgetful })
  for (const feed of Object.values(servers.feeds)) feed.run(Number.POSITIVE_INFINITY, 1000)
  for (const line of callingLines(servers, paint)) print(line)
  print(`\n${paint.dim('Ctrl-C stops them.')}`)
  process.once('SIGINT', () => void servers.close())
  process.once('SIGTERM', () => void servers.close())
}
