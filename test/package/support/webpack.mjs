// webpack in a process of its own: in a worker of vitest, which maps the stack of each of its many errors, it takes a minute.
import webpack from 'webpack'

const [entry, path] = process.argv.slice(2)
const output = { path, filename: 'bundle.mjs', chunkFilename: '[name].mjs', module: true }
const optimization = { minimize: false }
webpack(
  { mode: 'production', target: 'node22', entry, output, experiments: { outputModule: true }, optimization },
  (error, stats) => {
    if (error || stats?.hasErrors()) throw error ?? new Error(stats?.toString())
  },
)
