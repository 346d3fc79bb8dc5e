import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { deadLinksOf } from '../../scripts/docs/links.ts'

const site = mkdtempSync(join(tmpdir(), 'polywire-site-'))
afterAll(() => rmSync(site, { recursive: true }))
const write = (file: string, html: string) => {
  mkdirSync(dirname(join(site, file)), { recursive: true })
  writeFileSync(join(site, file), html)
}

it('finds the pages and the anchors that are not there, and nothing else', () => {
  write(
    'index.html',
    '<a href="/guide"></a><a href="./guide#top"></a><a href="https://example.com/x"></a><a href="#here" id="here"></a>',
  )
  write('guide.html', '<h1 id="top"></h1><a href="/deep/"></a><a href="/gone"></a><a href="/deep/page#nowhere"></a>')
  write('deep/index.html', '<a href="../guide"></a>')
  write('deep/page.html', '<a href="./"></a><a href="../index.html"></a>')
  expect(deadLinksOf(site)).toEqual({
    pages: 4,
    links: 9,
    dead: ['guide.html: /gone leads nowhere', 'guide.html: /deep/page#nowhere leads nowhere'],
  })
})
