import { checkFileList } from '../../archive/check-file-list.js'
import type { FileDigest } from '../../archive/sha256.js'
import type { Candidate } from '../check-update.js'
import { LiveUpdateError } from '../live-update-error.js'
import type { Session } from '../session.js'
import { admitSigned } from './admit-signed.js'
import { download } from './download.js'
import { addressOf, fetchByName } from './fetch-by-name.js'
import { filesSource } from './files-source.js'
import { findInstalled } from './find-installed.js'
import { findRoot } from './find-root.js'
import type { ContentPlan } from './plan-content.js'

const manifestName = 'capawesome-live-update-manifest.json'
const manifestBytesMaximum = 8 * 1024 * 1024

function malformed(): never {
  throw new LiveUpdateError('ANSWER_MALFORMED', 'The manifest is not a list of { href, checksum, sizeInBytes }.')
}

/** Call it on verified bytes only. */
function parseManifest(bytes: Uint8Array): FileDigest[] {
  let items: unknown
  try {
    items = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    malformed()
  }
  if (!Array.isArray(items)) malformed()
  return items.map((item: unknown) => {
    const { href, checksum, sizeInBytes } = (item ?? {}) as Record<string, unknown>
    if (typeof href !== 'string' || typeof checksum !== 'string' || !/^[0-9a-f]{64}$/.test(checksum)) malformed()
    if (typeof sizeInBytes !== 'number' || !Number.isSafeInteger(sizeInBytes) || sizeInBytes < 0) malformed()
    return { path: href, sha256: checksum, size: sizeInBytes }
  })
}

/**
 * Compat profile, a bundle of single files: the signed manifest says what each of them is. The official plugins check a
 * signature of each file instead, which says nothing about where it belongs; here the manifest's is the one that counts.
 */
export async function receiveSignedManifest(session: Session, candidate: Candidate): Promise<ContentPlan> {
  const { bytes, headers } = await download(session, {
    url: addressOf(candidate.latest.url, manifestName),
    maximumBytes: manifestBytesMaximum,
  })
  const id = await admitSigned(session, candidate, { bytes, signature: headers.get('x-signature') })
  const files = parseManifest(bytes)
  // [C5] names and sizes that no archive may have either
  checkFileList(files, session.config.limits)
  findRoot(files.map((file) => file.path))
  const source = filesSource(files, await findInstalled(session), {
    share: 1,
    fetchFiles: fetchByName(session, candidate),
  })
  return { id, files, sources: [source] }
}
