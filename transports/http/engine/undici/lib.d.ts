/** Deep imports of undici: its index would replace the global dispatcher, and with it what the built-in fetch does. */
declare module 'undici/lib/dispatcher/client.js' {
  import { Client } from 'undici'
  export = Client
}

declare module 'undici/lib/core/connect.js' {
  import { buildConnector } from 'undici'
  export = buildConnector
}

declare module 'undici/lib/interceptor/cache.js' {
  interface CacheOptions {
    readonly store: {
      get(key: object): unknown
      createWriteStream(key: object, value: any): unknown
      delete(key: object): unknown
    }
    readonly methods: readonly string[]
    readonly type: 'private' | 'shared'
  }
  type Dispatch = (options: any, handler: object) => boolean
  function cache(options: CacheOptions): (dispatch: Dispatch) => Dispatch
  export = cache
}

declare module 'undici/lib/cache/memory-cache-store.js' {
  class MemoryCacheStore {
    constructor(options: { readonly maxSize: number; readonly maxEntrySize: number; readonly maxCount: number })
    get(key: object): unknown
    createWriteStream(key: object, value: object): unknown
    delete(key: object): unknown
  }
  export = MemoryCacheStore
}

declare module 'undici/lib/dispatcher/agent.js' {
  import { Agent } from 'undici'
  export = Agent
}
