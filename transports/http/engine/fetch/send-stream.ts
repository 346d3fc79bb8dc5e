import { type Init, isBrowser } from './init.ts'

/** Adds a body to an init: as a stream where the platform can send one, else whole. */
export async function addStream(init: Init, body: ReadableStream<Uint8Array>): Promise<void> {
  if (canSendStreams()) {
    init.body = body
    init.duplex = 'half'
  } else init.body = await new Response(body as BodyInit).blob()
}

let streamsKnown: boolean | undefined

/** Browsers that know no streams there send the text `[object ReadableStream]`. */
function canSendStreams(): boolean {
  streamsKnown ??= trySendingStreams()
  return streamsKnown
}

function trySendingStreams(): boolean {
  let isDuplexRead = false
  const init = {
    method: 'POST',
    body: new ReadableStream(),
    get duplex() {
      isDuplexRead = true
      return 'half'
    },
  }
  try {
    const isText = new Request('https://localhost', init as RequestInit).headers.has('content-type')
    return !isText && (isDuplexRead || !isBrowser())
  } catch {
    return false
  }
}
