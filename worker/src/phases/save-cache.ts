import type { BuildRun, Sandbox } from '../build-run.js'
import { stores } from '../cached-managers.js'
import { openFile } from '../copy-file.js'
import { exitCodeOf } from '../run-command.js'
import { upload } from '../signed-url.js'
import type { CacheUse } from './restore-cache.js'
import { cacheArchive, orStop } from './restore-cache.js'

const shared = { phase: 'save-cache', failureCode: 'cache-failed', subject: 'Saving the cache' } as const

const exitEmpty = 9
const exitTooLarge = 10
const exitNoRoom = 11

/** Plain files and folders alone. What it takes is looked at before, for the disk of a build is memory. */
const pack = `set -eu
[ -d "$1" ] || exit ${exitEmpty}
cd "$1"
used=$(du -s --apparent-size -B1 . | cut -f1)
[ "$used" -le "$3" ] || exit ${exitTooLarge}
free=$(df --output=avail -B1 . | tail -n 1)
[ $((used + used / 2)) -le "$free" ] || exit ${exitNoRoom}
find . \\( -type f -o -type d \\) -print0 | LC_ALL=C sort -z |
  tar --create --file="$2" --format=gnu --null --no-recursion --hard-dereference --owner=0 --group=0 --mtime=@0 \\
    --verbatim-files-from --files-from=-
stat -c %s "$2"
sha256sum "$2"
`

const reasons: Readonly<Record<number, string>> = {
  [exitEmpty]: 'nothing was downloaded.',
  [exitTooLarge]: 'the downloads are larger than a cache may be.',
  [exitNoRoom]: 'there is no room on the disk of the build to pack them.',
}

/**
 * Leaves what the install downloaded for the next build, before any script of the build itself has run. It counts once the
 * build has succeeded. Answers its size; undefined when nothing was left.
 */
export async function saveCache(run: BuildRun, sandbox: Sandbox, use: CacheUse): Promise<number | undefined> {
  try {
    return await save(run, sandbox, use)
  } catch (error) {
    run.logs.note('save-cache', 'The cache could not be saved; the next build does without.')
    return orStop(run, error, undefined)
  } finally {
    if (!run.signal.aborted) await exitCodeOf(run, { ...shared, ...sandbox, argv: ['rm', '-f', cacheArchive] })
  }
}

async function save(run: BuildRun, { containerId }: Sandbox, use: CacheUse): Promise<number | undefined> {
  const { folder } = stores[use.question.packageManager]
  const argv = ['sh', '-c', pack, 'sh', folder, cacheArchive, String(use.maxBytes)]
  let printed = ''
  const onStdout = (chunk: Buffer) => {
    if (printed.length < 1_000) printed += chunk.toString('latin1')
  }
  const exitCode = await exitCodeOf(run, { ...shared, containerId, argv, onStdout })
  // Made by what runs in the container; the platform measures again what arrives.
  const [, size, sha256] = /^(\d+)\n([0-9a-f]{64}) /.exec(printed) ?? []
  if (exitCode !== 0 || size === undefined || sha256 === undefined) {
    run.logs.note('save-cache', `No cache is left: ${reasons[exitCode] ?? 'packing the downloads failed.'}`)
    return undefined
  }
  const sizeBytes = Number(size)
  const options = { signal: run.signal, budgetMs: 60_000 }
  const { cacheId, uploadUrl } = await run.lease.declareCache({ ...use.question, sizeBytes, sha256 }, options)
  const file = { containerId, path: cacheArchive }
  await upload(uploadUrl, sizeBytes, () => openFile(run, file, shared), run.signal)
  await run.lease.finalizeCache(cacheId, options)
  run.logs.note('save-cache', `Saved ${sizeBytes} bytes, SHA-256 ${sha256}; it counts once the build has succeeded.`)
  return sizeBytes
}
