import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import { build } from 'esbuild'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { browserSides } from '../../scripts/entries.ts'
import { BarePage } from './bare-page.ts'

const root = resolve(import.meta.dirname, '../..')

/** A Chromium, and a site whose page runs a program with Polywire's sources in it. */
export class BrowserSite {
  readonly #browser: Browser
  readonly #server: Server

  private constructor(browser: Browser, server: Server) {
    this.#browser = browser
    this.#server = server
  }

  /** @param scripts - what it has beside the page, by path: a service worker. */
  static async open(
    executablePath: string,
    program: string,
    scripts: Readonly<Record<string, string>> = {},
  ): Promise<BrowserSite> {
    const script = await bundle(program)
    const server = createServer((request, response) => {
      const other = scripts[request.url ?? '']
      if (other !== undefined) {
        response.setHeader('content-type', 'text/javascript')
        response.end(other)
        return
      }
      response.setHeader('content-type', 'text/html')
      response.end(request.url === '/other' ? '<h1>other</h1>' : `<script type="module">${script}</script>`)
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const browser = await chromium.launch({
      executablePath,
      args: ['--no-sandbox'],
      ignoreDefaultArgs: ['--disable-back-forward-cache'],
    })
    return new BrowserSite(browser, server)
  }

  /** Its page; `/other` is one without a program. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`
  }

  /** The page in a context of its own, with what its program has put on `window`. */
  async visit(): Promise<{ readonly context: BrowserContext; readonly page: Page }> {
    const context = await this.#browser.newContext()
    const page = await context.newPage()
    await page.goto(this.url)
    return { context, page }
  }

  /** The page behind another one, which can be frozen. */
  visitBare(): Promise<BarePage> {
    return BarePage.open(this.#browser, this.url)
  }

  async close(): Promise<void> {
    await this.#browser.close()
    this.#server.closeAllConnections()
    await new Promise((done) => this.#server.close(done))
  }
}

async function bundle(program: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: program, resolveDir: root },
    bundle: true,
    format: 'esm',
    platform: 'browser',
    write: false,
    conditions: ['polywire-source'],
    alias: browserSides,
  })
  // A closing tag within the program would end the script.
  return (outputFiles[0]?.text ?? '').replaceAll('</script', '<\\/script')
}
