import { protocols } from '../servers/chaos.ts'
import { parcelOf } from '../servers/parcels.ts'
import type { Stage } from './stage.ts'

/** The same question to five protocols. */
export async function oneCallSite(stage: Stage): Promise<void> {
  stage.begin('One client, five protocols: the same question to each')
  const answers: string[] = []
  for (const protocol of protocols) answers.push(JSON.stringify(await stage.demo.parcel[protocol](7)))
  const expected = JSON.stringify(parcelOf(7))
  const equal = answers.filter((answer) => answer === expected).length
  stage.expect(equal === protocols.length, `${equal} of ${protocols.length} answers are ${expected}`)
}
