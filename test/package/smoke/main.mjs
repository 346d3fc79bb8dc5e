import { smoke } from './program.mjs'

await smoke(globalThis.process.env.PORT)
