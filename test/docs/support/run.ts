/** Runs programs one after the other in this process, each behind a line with its name; the process must end by itself. */
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'

for (const file of process.argv.slice(2)) {
  process.stdout.write(`\n#### ${file}\n`)
  try {
    await import(pathToFileURL(file).href)
  } catch (error) {
    process.stdout.write(`\n#### failed\n${inspect(error)}\n`)
    process.exitCode = 1
  }
}
process.stdout.write('\n#### end\n')
