import type { FileDigest } from '../../archive/sha256.js'
import { inOrder } from '../in-order.js'
import type { ContentSource } from './content-source.js'
import type { Installed } from './find-installed.js'

/** Gives `take` each of some files of the bundle, in any order; they may be anything. */
export type FetchFiles = (
  files: readonly FileDigest[],
  take: (path: string, content: Uint8Array) => Promise<void>,
) => Promise<void>

/** What it takes to ask for one more file. */
const requestBytes = 400

/**
 * Only the files that the device does not have, under whatever name. What it has is hashed again before it is reused.
 *
 * @param share how much of an unpacked byte is transferred
 */
export function filesSource(
  files: readonly FileDigest[],
  installed: Installed,
  { share, fetchFiles }: { share: number; fetchFiles: FetchFiles },
): ContentSource {
  const missing = files.filter((file) => !installed.has(file))
  return {
    kind: 'files',
    costBytes: missing.reduce((sum, { size }) => sum + Math.ceil(size * share) + requestBytes, 0),
    async provide(put) {
      const wanted = new Set(missing)
      await inOrder(files, async (file) => {
        const content = wanted.has(file) ? null : await installed.read(file)
        if (content === null) wanted.add(file)
        else await put(file.path, content)
      })
      if (wanted.size > 0) await fetchFiles([...wanted], put)
    },
  }
}
