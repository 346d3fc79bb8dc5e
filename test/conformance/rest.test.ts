import { describeTransport } from './describe-transport.ts'
import { rest, restOverFetch } from './harnesses/rest.ts'

describeTransport('rest over undici', rest)
describeTransport('rest over fetch', restOverFetch)
