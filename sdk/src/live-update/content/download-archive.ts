import { defaultArchiveLimits } from '../../archive/archive-limits.js'
import type { Candidate } from '../check-update.js'
import { toLiveUpdateError } from '../live-update-error.js'
import type { PartialBody } from '../partial-body.js'
import type { Session } from '../session.js'
import { countProgress, download, type Downloaded } from './download.js'
import { PartialKeeper } from './keep-partial.js'

const attemptsMaximum = 5

export interface ArchiveDownload {
  /** Reading stops past this many bytes. */
  maximumBytes: number
  totalBytes: number | null
  /** Decides about the whole. */
  verify: (downloaded: Downloaded) => Promise<void>
}

/** Continues a broken transfer as long as each attempt brings something. */
async function receive(
  session: Session,
  request: Parameters<typeof download>[1],
  partial: PartialBody,
): Promise<Downloaded> {
  for (let attempt = 1; ; attempt++) {
    const before = partial.length
    try {
      return await download(session, { ...request, partial })
    } catch (error) {
      const broke = toLiveUpdateError(error).code === 'NETWORK' && partial.etag !== null && partial.length > before
      if (!broke || attempt === attemptsMaximum) throw error
    }
  }
}

/**
 * Downloads a candidate's archive and has it verified whole. What was interrupted is continued, within one sync and
 * after a new start; when the pieces do not make up what was signed, it is downloaded once more from the beginning.
 *
 * @throws what `download` and `verify` throw
 */
export async function downloadArchive(
  session: Session,
  candidate: Candidate,
  { maximumBytes, totalBytes, verify }: ArchiveDownload,
): Promise<Downloaded> {
  const allowed = Math.min(maximumBytes, session.config.limits?.maxArchiveBytes ?? defaultArchiveLimits.maxArchiveBytes)
  const { url } = candidate.latest
  const keeper = new PartialKeeper(session, url)
  const partial = await keeper.recall(allowed)
  const resumed = partial.length > 0
  const report = countProgress(session, candidate, totalBytes)()
  const onProgress = (receivedBytes: number): void => {
    report(receivedBytes)
    keeper.note(partial)
  }
  const request = { url, headers: { 'accept-encoding': 'identity' }, maximumBytes: allowed, onProgress }
  const received = await receive(session, request, partial).catch(async (error: unknown) => {
    await keeper.keep(partial)
    throw error
  })
  await keeper.forget()
  try {
    await verify(received)
    return received
  } catch (error) {
    if (!resumed) throw error
    const whole = await download(session, request)
    await verify(whole)
    return whole
  }
}
