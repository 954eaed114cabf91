import type { Candidate } from '../check-update.js'
import { fetchBytes } from '../fetch-bytes.js'
import { LiveUpdateError } from '../live-update-error.js'
import { deviceHeaders } from '../query-latest.js'
import type { Session } from '../session.js'

export interface Download {
  url: string
  /** Reading stops past this many bytes. */
  maximumBytes: number
  /** For progress; `null` when it is not known. */
  totalBytes: number | null
}

/**
 * Downloads a part of a candidate's content.
 *
 * @throws {LiveUpdateError} `NETWORK`, `TOO_SLOW`, `INSECURE_URL`, `SERVER_REFUSED`, `SIZE_MISMATCH`
 */
export async function download(
  session: Session,
  candidate: Candidate,
  { url, maximumBytes, totalBytes }: Download,
): Promise<{ bytes: Uint8Array<ArrayBuffer>; headers: Headers }> {
  const { config, world } = session
  const { status, headers, bytes } = await fetchBytes(world.fetch, {
    url,
    headers: { ...deviceHeaders((await session.load()).deviceId), 'accept-encoding': 'identity' },
    maximumBytes,
    transfer: config.transfer,
    onProgress: (receivedBytes) =>
      session.emit({ type: 'progress', bundleId: candidate.bundleId, receivedBytes, totalBytes }),
  })
  if (status < 200 || status > 299)
    throw new LiveUpdateError('SERVER_REFUSED', `The download was answered with status ${status}.`)
  if (bytes === null) throw new LiveUpdateError('SIZE_MISMATCH', `The download is longer than ${maximumBytes} bytes.`)
  return { bytes, headers }
}
