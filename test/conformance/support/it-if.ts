import { it } from 'vitest'

const never = Object.assign(() => {}, { each: () => () => {} }) as unknown as typeof it

/** `it`, where the protocol can do what is tested; else nothing, not even a skipped test. */
export const itIf = (isTrue: boolean): typeof it => (isTrue ? it : never)
