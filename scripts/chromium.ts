/** Finds a Chromium for test/browser and hands its path over as `inject('chromium')`; undefined: the tests skip themselves by name. */
import { existsSync } from 'node:fs'
import { chromium as playwright } from 'playwright-core'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    chromium: string | undefined
  }
}

const usual = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  // Where `npx playwright-core install chromium` puts it.
  playwright.executablePath(),
]

/** The path of a Chromium on this machine, if there is one. */
export function findChromium(): string | undefined {
  return [process.env.CHROMIUM, ...usual].find((path) => path !== undefined && existsSync(path))
}

export default function provideChromium(project: TestProject): void {
  const chromium = findChromium()
  if (chromium === undefined)
    console.warn('test/browser is skipped: no Chromium in the usual places; CHROMIUM=/path/to/it names one')
  project.provide('chromium', chromium)
}
