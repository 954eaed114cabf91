import { createHash } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { platformFailure } from './build-failure.js'
import { retry } from './retry.js'
import { watchSource } from './watch-source.js'

const transferBudgetMs = 5 * 60_000
/** No byte for so long means the connection is dead. */
const stallMs = 60_000

/** What arrived is not what was announced. */
export class TransferMismatch extends Error {
  override name = 'TransferMismatch'
}

/** The object store does not give it, and asking again cannot help. */
export class TransferRefused extends Error {
  override name = 'TransferRefused'
}

class TransferInterrupted extends Error {
  override name = 'TransferInterrupted'
}

export type Expected = {
  sha256: string
  sizeBytes: number
  /** Delivered after the last byte, and only where size and hash are the expected ones. */
  approval?: Buffer
}

/**
 * Gives the object's bytes to `deliver` as they arrive, and afterwards compares size and hash: nothing may look inside
 * them before this returns. After an interruption everything is delivered again from the first byte.
 */
export async function download(
  url: string,
  expected: Expected,
  deliver: (bytes: Readable) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  await retry(() => downloadOnce(url, expected, deliver, signal), {
    isTransient: (error) => error instanceof TransferInterrupted,
    budgetMs: transferBudgetMs,
    signal,
  })
}

async function downloadOnce(
  url: string,
  expected: Expected,
  deliver: (bytes: Readable) => Promise<void>,
  signal: AbortSignal,
) {
  let response: Response
  try {
    response = await fetch(url, { redirect: 'error', signal })
  } catch (error) {
    throw new TransferInterrupted('the object store does not answer', { cause: error })
  }
  if (response.status >= 500) throw new TransferInterrupted(`the object store answered ${response.status}`)
  if (!response.ok || response.body === null) {
    throw new TransferRefused(`the object store answered ${response.status}`)
  }
  const hash = createHash('sha256')
  let size = 0
  let isExpected = false
  let interruption: unknown
  const noteFailure = (error: unknown) => {
    interruption = error
  }
  async function* measured(body: AsyncIterable<Uint8Array>) {
    for await (const chunk of watchSource(body, noteFailure)) {
      size += chunk.length
      if (size > expected.sizeBytes) throw mismatch()
      hash.update(chunk)
      yield Buffer.from(chunk)
    }
    isExpected = size === expected.sizeBytes && hash.digest('hex') === expected.sha256
    if (isExpected && expected.approval) yield expected.approval
  }
  try {
    await deliver(Readable.from(measured(response.body)))
  } catch (error) {
    if (interruption === undefined) throw error
    throw new TransferInterrupted('the download broke off', { cause: interruption })
  }
  if (size < expected.sizeBytes) throw new TransferInterrupted('fewer bytes than announced')
  if (!isExpected) throw mismatch()
}

const mismatch = () => new TransferMismatch('size or SHA-256 are not the ones that were announced')

/**
 * PUTs bytes to a signed URL, neither more nor fewer than announced. `open` is called for every try. An object that is there
 * already is compared by the API.
 */
export async function upload(url: string, sizeBytes: number, open: () => Readable, signal: AbortSignal): Promise<void> {
  const status = await retry(() => putOnce(url, sizeBytes, open(), signal), {
    isTransient: (error) => error instanceof TransferInterrupted,
    budgetMs: transferBudgetMs,
    signal,
  })
  const isThere = status === 409 || status === 412
  if ((status < 200 || status >= 300) && !isThere) {
    throw platformFailure('artifact-upload-refused', `The object store refused the artifact (status ${status}).`)
  }
}

async function putOnce(url: string, sizeBytes: number, bytes: Readable, signal: AbortSignal): Promise<number> {
  try {
    const status = await put(url, sizeBytes, bytes, signal)
    if (status >= 500 || status === 429) throw new TransferInterrupted(`the object store answered ${status}`)
    return status
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof TransferInterrupted || error instanceof TransferMismatch) throw error
    throw new TransferInterrupted('the upload broke off', { cause: error })
  }
}

/** fetch sends a stream without a length; a signed PUT needs one. */
function put(url: string, sizeBytes: number, bytes: Readable, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = url.startsWith('https:') ? httpsRequest : httpRequest
    const headers = { 'content-length': sizeBytes, 'content-type': 'application/octet-stream' }
    const call = request(url, { method: 'PUT', headers, signal, timeout: stallMs }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode ?? 0))
      response.on('error', reject)
    })
    call.on('timeout', () => call.destroy(new Error('the object store does not answer')))
    call.on('error', reject)
    pipeline(bytes, (body) => exactly(sizeBytes, body), call).catch(reject)
  })
}

/** A file in a build container can grow while it is read, and what follows a body is read as the next request. */
async function* exactly(sizeBytes: number, body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > sizeBytes) throw mismatch()
    yield chunk
  }
  if (size < sizeBytes) throw mismatch()
}
