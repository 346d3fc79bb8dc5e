// What is used of msw: the handlers that its servers and workers take.
export { HttpHandler } from 'msw/http'
export { type WebSocketData, type WebSocketHandler, ws } from 'msw/ws'
