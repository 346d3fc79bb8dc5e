import { protocols } from './servers/chaos.ts'
import type { Servers } from './servers/index.ts'
import type { Paint } from './terminal/paint.ts'

/** How each server is called by hand. */
export function callingLines({ running, chaos }: Servers, paint: Paint): string[] {
  const { rest, graphql, 'grpc-web': grpc, websocket, sse } = running
  const curl = `curl -s -H 'authorization: Bearer ${chaos.token}'`
  const socket = `new WebSocket('${websocket.origin.replace('http', 'ws')}/ws')`
  const script = `const s=${socket};s.onopen=()=>{s.send('{"type":"auth","ref":0,"token":"${chaos.token}"}');s.send('{"type":"message","channel":"parcels","ref":1,"data":{"id":7}}')};s.onmessage=e=>console.log(e.data)`
  const lines = {
    rest: `${curl} ${rest.origin}/parcels/7`,
    graphql: `${curl} -H 'content-type: application/json' -d '{"query":"{ parcel(id: 7) { id status } }"}' ${graphql.origin}/graphql`,
    'grpc-web': `printf '\\0\\0\\0\\0\\2\\10\\7' | ${curl} -H 'content-type: application/grpc-web+proto' --data-binary @- ${grpc.origin}/polywire.demo.v1.ParcelService/GetParcel | strings`,
    websocket: `node -e "${script.replaceAll('"', '\\"')}"`,
    sse: `${curl} -N ${sse.origin}/parcels/7/positions`,
  }
  return protocols.flatMap((protocol) => [
    '',
    `${paint.mark(protocol)} ${paint.dim(`${running[protocol].library}, ${running[protocol].origin}`)}`,
    `  ${lines[protocol]}`,
  ])
}
