import { makeDemo } from './client.ts'
import { makeReport, type Report } from './report.ts'
import { busyServers } from './scenes/busy-servers.ts'
import { cutAnswers } from './scenes/cut-answers.ts'
import { expiredToken } from './scenes/expired-token.ts'
import { killedStreams } from './scenes/killed-streams.ts'
import { oneCallSite } from './scenes/one-call-site.ts'
import { shrinkingDeadline } from './scenes/shrinking-deadline.ts'
import { Stage } from './scenes/stage.ts'
import { protocols } from './servers/chaos.ts'
import type { Servers } from './servers/index.ts'
import type { Paint } from './terminal/paint.ts'
import { Recorder } from './terminal/recorder.ts'
import { Timeline } from './terminal/timeline.ts'

const scenes = [oneCallSite, busyServers, expiredToken, cutAnswers, killedStreams, shrinkingDeadline]

/** Plays all scenes on running servers. */
export async function run(servers: Servers, paint: Paint, print: (line: string) => void): Promise<Report> {
  const recorder = new Recorder()
  const timeline = new Timeline(recorder, paint, print)
  const demo = makeDemo(servers, recorder)
  const stage = new Stage(servers, demo, recorder, timeline)
  print(paint.bold('Five servers on loopback, one client'))
  for (const protocol of protocols) {
    const { library, origin } = servers.running[protocol]
    print(`  ${paint.mark(protocol.padEnd(9))}  ${library.padEnd(12)}  ${paint.dim(origin)}`)
  }
  try {
    for (const scene of scenes) await play(scene, stage)
    stage.begin('In all')
    const errors = protocols.reduce((sum, protocol) => sum + recorder.tallies[protocol].errors, 0)
    stage.expect(errors === stage.wantedErrors, `failed calls: ${errors}, of which wanted: ${stage.wantedErrors}`)
  } finally {
    await demo.close()
  }
  return makeReport(recorder, stage.outcomes)
}

/** A scene that throws has failed; the others are still played. */
async function play(scene: (stage: Stage) => Promise<void>, stage: Stage): Promise<void> {
  try {
    await scene(stage)
  } catch (error) {
    stage.expect(false, `the scene broke off: ${error instanceof Error ? error.message : String(error)}`)
  }
}
