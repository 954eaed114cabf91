import { LiveUpdateError } from './live-update-error.js'
import { checkUrl, type TransferLimits } from './options.js'

/** The web's `fetch`, as far as it is used. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

export interface FetchRequest {
  url: string
  headers: Record<string, string>
  /** Reading stops past this many bytes. */
  maximumBytes: number
  transfer: TransferLimits
  onProgress?: (received: number) => void
}

/** A whole answer. `bytes` is `null` when it was longer than allowed. */
export interface FetchedBytes {
  status: number
  headers: Headers
  bytes: Uint8Array<ArrayBuffer> | null
}

async function readBody(
  response: Response,
  request: FetchRequest,
  received: { bytes: number },
): Promise<FetchedBytes['bytes']> {
  const declared = Number(response.headers.get('content-length') ?? 0)
  if (declared > request.maximumBytes) return null
  if (!response.body) return new Uint8Array()
  const chunks: Uint8Array[] = []
  let length = 0
  // Not `for await`: not every web view can iterate over a stream.
  const reader = response.body.getReader() as { read(): Promise<{ done: boolean; value?: Uint8Array }> }
  for (;;) {
    const { done, value: chunk } = await reader.read()
    if (done || chunk === undefined) break
    length += chunk.length
    received.bytes += chunk.length
    if (length > request.maximumBytes) return null
    chunks.push(chunk)
    request.onProgress?.(length)
  }
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.length
  }
  return bytes
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
  const received = { bytes: 0 }
  let tooSlow = false
  const giveUp = (): void => {
    tooSlow = true
    stop.abort()
  }
  let seen = 0
  const deadline = setTimeout(giveUp, timeoutMs)
  const pace = setInterval(() => {
    if (received.bytes - seen < minimumBytes) giveUp()
    seen = received.bytes
  }, windowMs)
  try {
    const { url, headers } = request
    // A cached answer, or a redirect that was permanent once, must not outlive what the server says now.
    const init = { headers, redirect: 'follow', cache: 'no-store', signal: stop.signal } as const
    const response = await fetch(url, init)
    if (response.url) checkUrl(response.url)
    const bytes = await readBody(response, request, received)
    if (bytes === null) stop.abort()
    return { status: response.status, headers: response.headers, bytes }
  } catch (cause) {
    if (cause instanceof LiveUpdateError) throw cause
    if (tooSlow)
      throw new LiveUpdateError('TOO_SLOW', 'The server sends too slowly; the transfer was given up.', { cause })
    throw new LiveUpdateError('NETWORK', 'The server cannot be reached, or the connection broke.', { cause })
  } finally {
    clearTimeout(deadline)
    clearInterval(pace)
  }
}
