import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** What following every link of a built site found. */
export interface Links {
  readonly pages: number
  readonly links: number
  readonly dead: readonly string[]
}

/** Follows the links within a site, anchors included, as it stands on disk. */
export function deadLinksOf(site: string): Links {
  const pages = globSync('**/*.html', { cwd: site })
  const ids = new Map(pages.map((page) => [page, idsOf(readFileSync(join(site, page), 'utf8'))]))
  const dead: string[] = []
  let links = 0
  for (const page of pages)
    for (const href of hrefsOf(readFileSync(join(site, page), 'utf8'))) {
      links++
      const [path = '', anchor = ''] = href.split('#')
      const target = path === '' ? page : fileOf(site, path.startsWith('/') ? path.slice(1) : join(dirname(page), path))
      const isThere =
        target !== undefined && (anchor === '' || ids.get(target)?.has(decodeURIComponent(anchor)) !== false)
      if (!isThere && page !== '404.html') dead.push(`${page}: ${href} leads nowhere`)
    }
  return { pages: pages.length, links, dead: [...new Set(dead)] }
}

function fileOf(site: string, path: string): string | undefined {
  const plain = path.replace(/[?].*$/, '').replace(/\/$/, '')
  return [plain, `${plain}.html`, join(plain, 'index.html')].find(
    (file) => /\.\w+$/.test(file) && existsSync(join(site, file)),
  )
}

const hrefsOf = (html: string): string[] =>
  [...html.matchAll(/ href="([^"]+)"/g)].map((match) => match[1] as string).filter((href) => !/^(\w+:|\/\/)/.test(href))

const idsOf = (html: string): Set<string> =>
  new Set([...html.matchAll(/ id="([^"]+)"/g)].map((match) => match[1] as string))
