import type { ConnectWebFraming } from './connect-web.ts'

/** `#grpc-framing` in browsers: who wants connect-web imports `connectWeb()`, and nobody else carries it. */
export const atHand: ConnectWebFraming | undefined = undefined
