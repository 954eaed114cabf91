import type { Candidate } from '../check-update.js'
import { fetchBytes, type FetchedBytes } from '../fetch-bytes.js'
import { LiveUpdateError } from '../live-update-error.js'
import type { PartialBody } from '../partial-body.js'
import { deviceHeaders } from '../query-latest.js'
import type { Session } from '../session.js'

export interface Download {
  url: string
  headers?: Record<string, string>
  /** Reading stops past this many bytes. */
  maximumBytes: number
  /** The status that a good answer has; default any from 200 to 299. */
  status?: number
  onProgress?: (receivedBytes: number) => void
  /** What is there of it already. */
  partial?: PartialBody
}

/** A body that was received whole. Nothing of it is believed yet. */
export interface Downloaded {
  bytes: Uint8Array<ArrayBuffer>
  headers: Headers
}

function isGood(status: number, expected: number | undefined): boolean {
  return expected === undefined ? status >= 200 && status <= 299 : status === expected
}

/** A CDN is told nothing about the device, and a web app needs no leave to ask it. */
async function ownHeaders(session: Session): Promise<Record<string, string>> {
  return session.config.staticUrl === undefined ? deviceHeaders((await session.load()).deviceId) : {}
}

/**
 * Downloads a part of a candidate's content.
 *
 * @throws {LiveUpdateError} `NETWORK`, `TOO_SLOW`, `INSECURE_URL`, `SERVER_REFUSED`, `SIZE_MISMATCH`
 */
export async function download(session: Session, request: Download): Promise<Downloaded> {
  const { config, world } = session
  const { url, maximumBytes, onProgress, partial } = request
  const { status, headers, bytes }: FetchedBytes = await fetchBytes(world.fetch, {
    url,
    headers: { ...(await ownHeaders(session)), ...request.headers },
    maximumBytes,
    transfer: config.transfer,
    ...(onProgress ? { onProgress } : {}),
    ...(partial ? { partial } : {}),
  })
  if (!isGood(status, request.status))
    throw new LiveUpdateError('SERVER_REFUSED', `The download was answered with status ${status}.`)
  if (bytes === null) throw new LiveUpdateError('SIZE_MISMATCH', `The download is longer than ${maximumBytes} bytes.`)
  return { bytes, headers }
}

/** Progress of a candidate, added up over several downloads. */
export function countProgress(
  session: Session,
  candidate: Candidate,
  totalBytes: number | null,
): () => (receivedBytes: number) => void {
  let sum = 0
  return () => {
    let before = 0
    return (receivedBytes) => {
      sum += receivedBytes - before
      before = receivedBytes
      session.emit({ type: 'progress', bundleId: candidate.bundleId, receivedBytes: sum, totalBytes })
    }
  }
}
