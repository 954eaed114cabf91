import type { Candidate } from '../check-update.js'
import { inOrder } from '../in-order.js'
import type { Session } from '../session.js'
import { countProgress, download } from './download.js'
import type { FetchFiles } from './files-source.js'

/** The address of one file of a bundle that is published as single files. */
export function addressOf(url: string, path: string): string {
  const address = new URL(url)
  const query = `href=${encodeURIComponent(path)}`
  address.search = address.search === '' ? query : `${address.search}&${query}`
  return address.href
}

/** Files of a bundle that is published as single files: one request each. */
export function fetchByName(session: Session, candidate: Candidate): FetchFiles {
  return async (files, take) => {
    const progress = countProgress(
      session,
      candidate,
      files.reduce((sum, { size }) => sum + size, 0),
    )
    await inOrder(files, async ({ path, size }) => {
      const url = addressOf(candidate.latest.url, path)
      const { bytes } = await download(session, { url, maximumBytes: size, onProgress: progress() })
      await take(path, bytes)
    })
  }
}
