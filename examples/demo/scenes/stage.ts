import type { Demo } from '../client.ts'
import type { Protocol } from '../servers/chaos.ts'
import type { Servers } from '../servers/index.ts'
import type { Recorder, Tally } from '../terminal/recorder.ts'
import type { Timeline } from '../terminal/timeline.ts'

/** One expectation and whether it was met. */
export interface Outcome {
  readonly scene: string
  readonly expectation: string
  readonly isMet: boolean
}

/** What a scene plays with. */
export class Stage {
  readonly servers: Servers
  readonly demo: Demo
  readonly recorder: Recorder
  readonly timeline: Timeline
  readonly outcomes: Outcome[] = []
  /** Calls that are meant to fail. */
  wantedErrors = 0
  #scene = ''

  constructor(servers: Servers, demo: Demo, recorder: Recorder, timeline: Timeline) {
    this.servers = servers
    this.demo = demo
    this.recorder = recorder
    this.timeline = timeline
  }

  begin(title: string, options?: { readonly isTerse?: boolean }): void {
    this.#scene = title
    this.timeline.scene(title, options)
  }

  /** The demo fails in the end where one of these does not hold. */
  expect(isMet: boolean, expectation: string): void {
    this.outcomes.push({ scene: this.#scene, expectation, isMet })
    this.timeline.check(isMet, expectation)
  }

  /** What `run` adds to a tally. */
  async counting(protocol: Protocol, run: () => Promise<unknown>): Promise<Tally> {
    const before = { ...this.recorder.tallies[protocol] }
    await run()
    const after = this.recorder.tallies[protocol]
    const keys = Object.keys(before) as (keyof Tally)[]
    return Object.fromEntries(keys.map((key) => [key, after[key] - before[key]])) as unknown as Tally
  }
}
