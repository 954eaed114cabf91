import type { Archive, ArchiveFile } from '../archive/open-archive.js'
import { type FileDigest, sha256Hex } from '../archive/sha256.js'
import { verifyArchiveBytes, verifyFiles, verifySignature } from '../release/index.js'
import type { StagedBundle } from './bundle-storage.js'
import { type Candidate, checkUpdate, lineOf, refuseBlocked } from './check-update.js'
import { digestFiles, isIntact } from './digest-bundle.js'
import { fetchBytes } from './fetch-bytes.js'
import { LiveUpdateError } from './live-update-error.js'
import { deviceHeaders } from './query-latest.js'
import type { Session } from './session.js'
import { type BundleRef, remember, type State } from './state.js'

const defaultMaximumBytes = 200 * 1024 * 1024
const groupBytes = 4 * 1024 * 1024
const groupFilesMaximum = 32

/** `staged` means that the next launch runs the bundle. */
export interface SyncResult {
  status: 'none' | 'not-in-rollout' | 'up-to-date' | 'staged'
  bundleId: string | null
}

async function download(
  session: Session,
  candidate: Candidate,
): Promise<{ bytes: Uint8Array<ArrayBuffer>; signature: unknown }> {
  const { config, world } = session
  const signedSize = candidate.verified?.release.archive.size ?? null
  const limit = Math.min(signedSize ?? Infinity, config.limits?.maxArchiveBytes ?? defaultMaximumBytes)
  const { status, headers, bytes } = await fetchBytes(world.fetch, {
    url: candidate.latest.url,
    headers: { ...deviceHeaders((await session.load()).deviceId), 'accept-encoding': 'identity' },
    maximumBytes: limit,
    transfer: config.transfer,
    onProgress: (receivedBytes) =>
      session.emit({ type: 'progress', bundleId: candidate.bundleId, receivedBytes, totalBytes: signedSize }),
  })
  if (status < 200 || status > 299)
    throw new LiveUpdateError('SERVER_REFUSED', `The download was answered with status ${status}.`)
  if (bytes === null) throw new LiveUpdateError('SIZE_MISMATCH', `The download is longer than ${limit} bytes.`)
  return { bytes, signature: candidate.latest.signature ?? headers.get('x-signature') }
}

function checkHistory(session: Session, state: State, id: string): void {
  const history = state.history[lineOf(session, state)] ?? []
  const place = history.indexOf(id)
  // [C3] replay of an older bundle; the signature alone cannot tell it from a new one
  if (place !== -1 && place !== history.length - 1 && session.config.allowReturn !== true) {
    throw new LiveUpdateError('DOWNGRADE', 'The server offers a bundle that this device already left behind.')
  }
}

async function verifyCompat(
  session: Session,
  candidate: Candidate,
  received: { bytes: Uint8Array<ArrayBuffer>; signature: unknown },
): Promise<string> {
  // [C1] bytes that the customer did not sign
  await verifySignature(session.config.trust.releaseKeys, received.bytes, received.signature)
  const id = await sha256Hex(received.bytes)
  const state = await session.load()
  // [C2] a bundle that broke the app once, under this or another name
  refuseBlocked(state, { bundleId: candidate.bundleId, releaseId: id })
  checkHistory(session, state, id)
  return id
}

/** The folder of index.html: the root, else the first one that has it, shallow before deep. */
function findRoot(archive: Archive): string {
  const roots = archive.files
    .map((file) => file.path)
    .filter((path) => path === 'index.html' || path.endsWith('/index.html'))
    .map((path) => path.slice(0, -'index.html'.length).replace(/\/$/, ''))
    .toSorted((a, b) => a.split('/').length - b.split('/').length || (a < b ? -1 : 1))
  const root = roots.includes('') ? '' : roots[0]
  if (root === undefined) throw new LiveUpdateError('INDEX_MISSING', 'The bundle has no index.html.')
  return root
}

/** Files to be unpacked side by side: writing one waits for the disk, holding many takes memory. */
function groupFiles(files: readonly ArchiveFile[]): ArchiveFile[][] {
  const groups: ArchiveFile[][] = []
  let held = Infinity
  for (const file of files) {
    held += file.size
    if (held > groupBytes || (groups.at(-1)?.length ?? 0) >= groupFilesMaximum) {
      groups.push([])
      held = file.size
    }
    groups.at(-1)?.push(file)
  }
  return groups
}

/** Nothing is left in flight when this ends, also when a file is refused. */
async function unpack(files: readonly ArchiveFile[], staged: StagedBundle): Promise<FileDigest[]> {
  const outcomes = await Promise.allSettled(
    files.map(async (file) => {
      const content = file.read()
      await staged.write(file.path, content)
      return { path: file.path, sha256: await sha256Hex(content), size: content.length }
    }),
  )
  return outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason
    return outcome.value
  })
}

/** Unpacks into a fresh place and makes it visible only when everything in it was accepted. */
async function stage(session: Session, candidate: Candidate, archive: Archive, id: string): Promise<void> {
  const { storage } = session.world
  await session.update(async (state) => {
    await storage.clearStaged()
    return { state, result: null }
  })
  const staged = await storage.stage()
  try {
    const files: FileDigest[] = []
    for (const group of groupFiles(archive.files)) files.push(...(await unpack(group, staged)))
    files.sort((a, b) => (a.path < b.path ? -1 : 1))
    if (candidate.verified) verifyFiles(candidate.verified.release, files)
    const bundle: BundleRef = {
      id,
      bundleId: candidate.bundleId,
      releaseId: candidate.verified?.releaseId ?? id,
      root: findRoot(archive),
      filesDigest: await digestFiles(files),
    }
    await session.update(async (state) => {
      if (!(await isIntact(storage, bundle))) await staged.commit(id)
      return { state: accept(session, state, candidate, bundle), result: null }
    })
  } finally {
    await staged.discard().catch(() => null)
  }
}

/** The state in which the bundle runs next, and nothing older is accepted any more. */
function accept(session: Session, state: State, candidate: Candidate, bundle: BundleRef): State {
  const line = lineOf(session, state)
  if (candidate.verified === null) {
    const history = remember(state.history[line] ?? [], bundle.id, (a, b) => a === b)
    return { ...state, next: bundle, history: { ...state.history, [line]: history } }
  }
  const floor = { sequence: candidate.verified.release.sequence, releaseId: bundle.releaseId }
  return { ...state, next: bundle, floors: { ...state.floors, [line]: floor } }
}

/**
 * Brings the device up to date: check, download, verify, stage. The running bundle is untouched; the next launch switches.
 *
 * @throws {LiveUpdateError}
 */
export async function syncUpdate(session: Session): Promise<SyncResult> {
  const { status, bundleId, candidate } = await checkUpdate(session)
  if (candidate === null) return { status: status as SyncResult['status'], bundleId }
  const received = await download(session, candidate)
  let id: string
  if (candidate.verified) {
    await verifyArchiveBytes(candidate.verified.release, received.bytes)
    id = candidate.verified.release.archive.sha256
  } else id = await verifyCompat(session, candidate, received)
  // [R15] whatever else a zip can do
  // [C4] the same, in the compat profile
  // The archive reader is loaded when there is something to read: most starts find nothing new.
  const { openArchive } = await import('../archive/open-archive.js')
  const archive = openArchive(received.bytes, session.config.limits)
  findRoot(archive)
  await stage(session, candidate, archive, id)
  session.emit({ type: 'staged', bundleId: candidate.bundleId })
  return { status: 'staged', bundleId: candidate.bundleId }
}
