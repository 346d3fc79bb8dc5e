/** What the tests use of Phoenix's own client, which is not typed here. */
declare module 'phoenix' {
  export class Push {
    receive(status: string, callback: (response: any) => void): this
  }
  export class Channel {
    join(): Push
    leave(): Push
    on(event: string, callback: (payload: any) => void): number
    push(event: string, payload: object | ArrayBuffer): Push
  }
  export class Socket {
    constructor(endPoint: string, options: Record<string, unknown>)
    connect(): void
    disconnect(callback?: () => void): void
    channel(topic: string, params?: object): Channel
    onOpen(callback: () => void): string
  }
}
