/** A RealtimeServer in a thread of its own, so that its heap is not the client's; told what to publish. */
import { parentPort } from 'node:worker_threads'
import { RealtimeServer } from './websocket-server.ts'

const server = await RealtimeServer.start()
parentPort?.on('message', ({ channel, data }: { channel: string; data: unknown }) => server.publish(channel, data))
parentPort?.postMessage(server.url)
