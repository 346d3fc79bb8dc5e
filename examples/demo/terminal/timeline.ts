import { ms, type Paint } from './paint.ts'
import { inShort, type Moment, type Recorder, type Track } from './recorder.ts'

/** Prints one line an event, as it happens, and at the end of a call its whole course in a few signs. */
export class Timeline {
  readonly #paint: Paint
  readonly #print: (line: string) => void
  /** Many calls at once: only what is not the same for all. */
  #isTerse = false

  constructor(recorder: Recorder, paint: Paint, print: (line: string) => void) {
    this.#paint = paint
    this.#print = print
    recorder.listener = (track, moment, atMs) => this.#tell(track, moment, atMs)
  }

  scene(title: string, { isTerse = false }: { readonly isTerse?: boolean } = {}): void {
    this.#isTerse = isTerse
    this.#print(`\n${this.#paint.bold(title)}`)
  }

  /** A line that belongs to no single call. */
  note(text: string): void {
    this.#print(`  ${text}`)
  }

  check(isMet: boolean, text: string): void {
    const { good, bad } = this.#paint
    this.#print(`  ${isMet ? good('✓') : bad('✗')} ${isMet ? text : bad(text)}`)
  }

  #tell(track: Track, moment: Moment, atMs: number): void {
    const text = this.#isTerse && moment.kind !== 'refresh' ? undefined : this.#describe(track, moment)
    if (text === undefined) return
    const { dim, mark } = this.#paint
    const at = `+${(atMs / 1000).toFixed(3)}s`.padStart(9)
    this.#print(
      `${dim(at)}  ${mark(track.via.padEnd(9))}  ${`#${track.id}`.padStart(3)} ${track.label.padEnd(28)} ${text}`,
    )
  }

  #describe(track: Track, moment: Moment): string | undefined {
    const { good, bad, wait, mark } = this.#paint
    switch (moment.kind) {
      case 'failed':
        return `${bad('✗')} attempt ${moment.attempt}: ${inShort(moment.error)}`
      case 'wait':
        return `${wait('…')} ${moment.why === 'retry' ? 'waits' : 'lost its connection, waits'} ${ms(moment.waitMs)}`
      case 'refresh':
        return `${mark('⟳')} the token is refreshed`
      case 'resumed':
        return `${mark('↻')} resumed after ${moment.after ?? 'nothing'}`
      case 'ended':
        return `${moment.error ? bad('■') : good('■')} ${ms(moment.tookMs).padStart(8)}  ${this.#course(track)}`
      default:
        return undefined
    }
  }

  /** `✗ ┈1 213 ms┈ ✓`: attempts, waits, refreshes and reconnects in their order. */
  #course({ moments }: Track): string {
    const { good, bad, wait, mark } = this.#paint
    const signs = moments.flatMap((moment) => {
      if (moment.kind === 'answered') return [good('✓')]
      if (moment.kind === 'failed') return [bad('✗')]
      if (moment.kind === 'wait') return [wait(`${moment.why === 'resume' ? 'ϟ ' : ''}┈${ms(moment.waitMs)}┈`)]
      if (moment.kind === 'refresh') return [mark('⟳')]
      return []
    })
    const last = moments.at(-1)
    if (last?.kind === 'ended' && last.error && moments.at(-2)?.kind !== 'failed')
      signs.push(bad(`✗ ${inShort(last.error)}`))
    return signs.join(' ')
  }
}
