import { describeTransport } from './describe-transport.ts'
import { websocket } from './harnesses/websocket.ts'

describeTransport('websocket', websocket)
