import type { Browser, CDPSession } from 'playwright-core'

/**
 * A page of Chromium that Playwright does not hold. Those that it holds pass for looked at, whatever stands in front of
 * them, and what is looked at cannot be frozen: `Page.setWebLifecycleState` does nothing there, without a word.
 */
export class BarePage {
  readonly #devTools: CDPSession
  readonly #contextId: string
  readonly #answers = new Map<number, (answer: Answer) => void>()
  #sessionId = ''
  #asked = 0

  private constructor(devTools: CDPSession, contextId: string) {
    this.#devTools = devTools
    this.#contextId = contextId
    devTools.on('Target.receivedMessageFromTarget', ({ message }) => {
      const answer = JSON.parse(message) as Answer
      this.#answers.get(answer.id)?.(answer)
    })
  }

  /** Opens `url` in a context of its own, behind an empty page: hidden. */
  static async open(browser: Browser, url: string): Promise<BarePage> {
    const devTools = await browser.newBrowserCDPSession()
    const { browserContextId } = await devTools.send('Target.createBrowserContext')
    const page = new BarePage(devTools, browserContextId)
    const { targetId } = await devTools.send('Target.createTarget', { url, browserContextId })
    page.#sessionId = (await devTools.send('Target.attachToTarget', { targetId, flatten: false })).sessionId
    await page.until(`document.readyState === 'complete'`)
    await devTools.send('Target.createTarget', { url: 'about:blank', browserContextId })
    await page.until(`document.visibilityState === 'hidden'`)
    await page.run(prelude)
    return page
  }

  /** Runs in the page, in a frozen one, too. */
  async run<T>(expression: string): Promise<T> {
    const options = { expression, awaitPromise: true, returnByValue: true }
    const { result, exceptionDetails } = (await this.#send('Runtime.evaluate', options)) as Evaluated<T>
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
    return result.value
  }

  async until(condition: string): Promise<void> {
    while (!(await this.run(`Boolean(${condition})`))) await new Promise((resolve) => setTimeout(resolve, 20))
  }

  /** Turns of its event loop so far: it stands still where the page does, and a hidden page does not slow it down. */
  turns(): Promise<number> {
    return this.run('turns')
  }

  /** From now on nothing of it runs: no timer, no answer, no frame. */
  async freeze(): Promise<void> {
    await this.#send('Page.setWebLifecycleState', { state: 'frozen' })
    await this.until('window.isFrozen')
  }

  async thaw(): Promise<void> {
    await this.#send('Page.setWebLifecycleState', { state: 'active' })
  }

  async close(): Promise<void> {
    await this.#devTools.send('Target.disposeBrowserContext', { browserContextId: this.#contextId })
    await this.#devTools.detach()
  }

  async #send(method: string, params: object): Promise<unknown> {
    const id = ++this.#asked
    const answered = new Promise<Answer>((resolve) => this.#answers.set(id, resolve))
    const message = JSON.stringify({ id, method, params })
    await this.#devTools.send('Target.sendMessageToTarget', { sessionId: this.#sessionId, message })
    const { result, error } = await answered
    this.#answers.delete(id)
    if (error) throw new Error(`${method}: ${error.message}`)
    return result
  }
}

/** Timers of a hidden page are held back to one a second, messages are not. */
const prelude = `
  window.turns = 0
  document.addEventListener('freeze', () => { window.isFrozen = true })
  document.addEventListener('resume', () => { window.isFrozen = false })
  const { port1, port2 } = new MessageChannel()
  port1.onmessage = () => port2.postMessage(++turns)
  port2.postMessage(0)
`

interface Answer {
  readonly id: number
  readonly result?: unknown
  readonly error?: { readonly message: string }
}

interface Evaluated<T> {
  readonly result: { readonly value: T }
  readonly exceptionDetails?: { readonly text: string; readonly exception?: { readonly description?: string } }
}
