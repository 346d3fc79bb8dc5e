/** Runs programs one after the other in this process, each behind a line with its name; the process must end by itself. */
import { pathToFileURL } from 'node:url'

for (const file of process.argv.slice(2)) {
  process.stdout.write(`\n#### ${file}\n`)
  await import(pathToFileURL(file).href)
}
process.stdout.write('\n#### end\n')
