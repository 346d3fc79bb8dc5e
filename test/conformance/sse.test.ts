import { describeTransport } from './describe-transport.ts'
import { sse } from './harnesses/sse.ts'

describeTransport('sse', sse)
