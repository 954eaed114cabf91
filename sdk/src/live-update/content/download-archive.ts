import { defaultArchiveLimits } from '../../archive/archive-limits.js'
import type { Candidate } from '../check-update.js'
import { toLiveUpdateError } from '../live-update-error.js'
import type { PartialBody } from '../partial-body.js'
import type { Session } from '../session.js'
import { countProgress, download, type Downloaded } from './download.js'
import { PartialKeeper } from './keep-partial.js'

const attemptsMaximum = 5
/** What pieces of different bodies, or of damaged ones, are found out by. */
const brokenCodes: readonly string[] = ['SIZE_MISMATCH', 'HASH_MISMATCH', 'BAD_SIGNATURE']
/** What the rest of a transfer may still come after. */
const brokenOffCodes: readonly string[] = ['NETWORK', 'TOO_SLOW']

type ArchiveRequest = Parameters<typeof download>[1]

export interface ArchiveDownload {
  /** Reading stops past this many bytes. */
  maximumBytes: number
  totalBytes: number | null
  /** Decides about the whole. */
  verify: (downloaded: Downloaded) => Promise<void>
}

/**
 * Continues a broken transfer as long as each attempt brings something. Where asking for the rest brings nothing at all,
 * as behind a proxy or an origin rule that knows no ranges, the whole is asked for.
 */
async function receive(session: Session, request: ArchiveRequest, partial: PartialBody): Promise<Downloaded> {
  for (let attempt = 1; ; attempt++) {
    const before = partial.length
    try {
      return await download(session, { ...request, partial })
    } catch (error) {
      const broke = toLiveUpdateError(error).code === 'NETWORK'
      if (!broke || attempt === attemptsMaximum) throw error
      const more = partial.length > before && partial.etag !== null
      if (!more && before === 0) throw error
      if (!more) return download(session, request)
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
    await (brokenOffCodes.includes(toLiveUpdateError(error).code) ? keeper.keep(partial) : keeper.forget())
    throw error
  })
  await keeper.forget()
  try {
    await verify(received)
    return received
  } catch (error) {
    if (!resumed || !brokenCodes.includes(toLiveUpdateError(error).code)) throw error
    const whole = await download(session, request)
    await verify(whole)
    return whole
  }
}
