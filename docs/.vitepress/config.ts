import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'vitepress'

const docs = join(import.meta.dirname, '..')

/** A page by its own title. */
const page = (file: string) => ({
  text: /^# (.+)$/m.exec(readFileSync(join(docs, file), 'utf8'))?.[1] ?? file,
  link: `/${file.replace(/\.md$/, '')}`,
})
const pages = (...files: string[]) => files.filter((file) => existsSync(join(docs, file))).map(page)
const folder = (name: string) =>
  globSync(`${name}/*.md`, { cwd: docs })
    .filter((file) => !file.endsWith('index.md'))
    .sort()
    .map(page)

const start = [
  'getting-started.md',
  'architecture.md',
  'errors.md',
  'streaming.md',
  'interceptors.md',
  'retries.md',
  'testing.md',
]
const authors = ['add-an-interceptor.md', 'add-a-transport.md', 'add-a-wire-adapter.md', 'protocol.md']
/** What has no place of its own: how-to pages, a new one without a word here. */
const topics = globSync('*.md', { cwd: docs }).filter(
  (file) => ![...start, ...authors, 'index.md', 'comparison.md'].includes(file),
)

/** `npm run docs -- --check` asks for links alone: it colours no code, and shrinks and indexes nothing. */
const isForLinks = process.env.POLYWIRE_DOCS === 'links'

export default defineConfig({
  title: 'Polywire',
  description: 'One typed client for REST, GraphQL, gRPC-Web, WebSocket and SSE.',
  cacheDir: '../.cache/vitepress',
  cleanUrls: true,
  lastUpdated: false,
  markdown: {
    theme: { light: 'github-light', dark: 'github-dark' },
    ...(isForLinks && { highlight: () => '' }),
  },
  ...(isForLinks && { vite: { build: { minify: false } } }),
  themeConfig: {
    ...(!isForLinks && { search: { provider: 'local' } }),
    outline: [2, 3],
    socialLinks: [{ icon: 'github', link: 'https://github.com/polywire/polywire' }],
    nav: [
      { text: 'Guide', link: '/getting-started' },
      { text: 'API', link: '/api/options' },
      { text: 'Comparison', link: '/comparison' },
    ],
    sidebar: [
      { text: 'Guide', items: pages(...start) },
      { text: 'Transports', items: folder('transports') },
      { text: 'How to', items: pages(...topics.sort()) },
      { text: 'Recipes', items: folder('recipes') },
      { text: 'Coming from', items: [...folder('migration'), ...pages('comparison.md')], collapsed: true },
      { text: 'API', items: [...pages('api/options.md'), ...folder('api'), ...folder('api/polywire')] },
      { text: 'Building on it', items: pages(...authors), collapsed: true },
      { text: 'Decisions', items: folder('decisions'), collapsed: true },
    ].filter(({ items }) => items.length > 0),
  },
})
