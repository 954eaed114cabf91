import { LiveUpdateError } from './live-update-error.js'
import { checkUrl, type TransferLimits } from './options.js'
import { PartialBody } from './partial-body.js'

/** The web's `fetch`, as far as it is used. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

export interface FetchRequest {
  url: string
  headers: Record<string, string>
  /** Reading stops past this many bytes. */
  maximumBytes: number
  transfer: TransferLimits
  onProgress?: (received: number) => void
  /** What an earlier transfer brought: it is continued, and what this one brings is added as it arrives. */
  partial?: PartialBody
}

/** A whole answer. `bytes` is `null` when it was longer than allowed. */
export interface FetchedBytes {
  status: number
  headers: Headers
  bytes: Uint8Array<ArrayBuffer> | null
}

type Transfer = FetchRequest & { signal: AbortSignal }

async function readBody(response: Response, request: Transfer, body: PartialBody): Promise<FetchedBytes['bytes']> {
  const declared = Number(response.headers.get('content-length') ?? 0)
  if (body.length + declared > request.maximumBytes) return null
  if (!response.body) return body.join()
  // Not `for await`: not every web view can iterate over a stream.
  const reader = response.body.getReader() as { read(): Promise<{ done: boolean; value?: Uint8Array }> }
  for (;;) {
    const { done, value: chunk } = await reader.read()
    if (done || chunk === undefined) return body.join()
    if (body.length + chunk.length > request.maximumBytes || request.signal.aborted) return null
    body.add(chunk)
    request.onProgress?.(body.length)
  }
}

async function transfer(fetch: Fetch, request: Transfer, body: PartialBody): Promise<FetchedBytes> {
  const { url, signal } = request
  const headers = { ...request.headers, ...body.rangeHeaders() }
  // A cached answer, or a redirect that was permanent once, must not outlive what the server says now.
  const init = { headers, redirect: 'follow', cache: 'no-store', signal } as const
  const response = await fetch(url, init)
  if (response.url) checkUrl(response.url)
  body.continueWith(response)
  return { status: response.status, headers: response.headers, bytes: await readBody(response, request, body) }
}

/**
 * Fetches a whole body into memory, with a cap on size, time and slowness. Redirects are followed as long as they lead
 * to an acceptable address; headers are those of the final answer.
 *
 * @throws {LiveUpdateError} `NETWORK`, `TOO_SLOW`, `INSECURE_URL`
 */
export async function fetchBytes(fetch: Fetch, request: FetchRequest): Promise<FetchedBytes> {
  checkUrl(request.url)
  const { timeoutMs, windowMs, minimumBytes } = request.transfer
  const stop = new AbortController()
  const body = request.partial ?? new PartialBody()
  let timers: ReturnType<typeof setTimeout>[] = []
  // Not left to `fetch`: where it does not know signals, a server that goes silent would stop updates for good.
  const tooSlow = new Promise<never>((_resolve, reject) => {
    const giveUp = (): void =>
      reject(new LiveUpdateError('TOO_SLOW', 'The server sends too slowly; the transfer was given up.'))
    let seen = body.received
    const checkPace = (): void => {
      if (body.received - seen < minimumBytes) giveUp()
      seen = body.received
    }
    timers = [setTimeout(giveUp, timeoutMs), setInterval(checkPace, windowMs)]
  })
  try {
    return await Promise.race([transfer(fetch, { ...request, signal: stop.signal }, body), tooSlow])
  } catch (cause) {
    if (cause instanceof LiveUpdateError) throw cause
    throw new LiveUpdateError('NETWORK', 'The server cannot be reached, or the connection broke.', { cause })
  } finally {
    for (const timer of timers) clearTimeout(timer)
    stop.abort()
  }
}
