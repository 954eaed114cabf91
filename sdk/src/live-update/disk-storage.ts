import { type FileDigest, sha256Hex } from '../archive/sha256.js'
import type { BundleStorage, StagedBundle } from './bundle-storage.js'
import type { Disk } from './disk.js'
import { inOrder } from './in-order.js'
import { randomUuid } from './random-uuid.js'

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/'))

/** The bundles of a directory: `bundles/<sha256>/` (complete by construction), `staging/` (never looked at). */
export function diskStorage(
  directory: string,
  disk: Disk,
): Pick<BundleStorage, 'stage' | 'persist' | 'prune' | 'clearStaged' | 'addPiece' | 'readPieces' | 'clearPieces'> & {
  pathOf: (bundle: { id: string; root: string }) => string
  digest: (id: string) => ReturnType<BundleStorage['digest']>
  readFile: (id: string, path: string) => Promise<Uint8Array | null>
} {
  const bundlesPath = `${directory}/bundles`
  const stagingPath = `${directory}/staging`
  const piecesPath = `${directory}/pieces`
  return {
    async stage() {
      const root = `${stagingPath}/${randomUuid()}`
      await disk.makeDirectory(root)
      return stagedBundle(disk, root, bundlesPath)
    },
    persist: (id) => persistTree(disk, bundlesPath, id),
    readFile: (id, path) => disk.readFile(`${bundlesPath}/${id}/${path}`),
    digest: (id) => digestTree(disk, `${bundlesPath}/${id}`),
    async prune(keep) {
      for (const { name } of (await disk.list(bundlesPath)) ?? []) {
        if (!keep.includes(name)) await disk.remove(`${bundlesPath}/${name}`)
      }
    },
    clearStaged: () => disk.remove(stagingPath),
    async addPiece(index, piece) {
      await disk.makeDirectory(piecesPath)
      await disk.writeNewFile(`${piecesPath}/${index}`, piece)
    },
    async readPieces() {
      const pieces: Uint8Array[] = []
      for (;;) {
        const piece = await disk.readFile(`${piecesPath}/${pieces.length}`)
        if (piece === null) return pieces
        pieces.push(piece)
      }
    },
    clearPieces: () => disk.remove(piecesPath),
    pathOf: ({ id, root }) => (root === '' ? `${bundlesPath}/${id}` : `${bundlesPath}/${id}/${root}`),
  }
}

function stagedBundle(disk: Disk, root: string, bundlesPath: string): StagedBundle {
  const made = new Map<string, Promise<void>>([[root, Promise.resolve()]])
  /** Files are written side by side; a directory that several need is made once. */
  const make = (path: string): Promise<void> => {
    const making = made.get(path) ?? disk.makeDirectory(path)
    made.set(path, making)
    return making
  }
  return {
    async write(path, content) {
      if (path.split('/').some((segment) => segment === '' || segment === '.' || segment === '..'))
        throw new Error('a file would leave its bundle')
      const target = `${root}/${path}`
      const parent = parentOf(target)
      await make(parent)
      await disk.writeNewFile(target, content)
    },
    async commit(id) {
      const target = `${bundlesPath}/${id}`
      await disk.makeDirectory(bundlesPath)
      // Only a damaged bundle is ever replaced; until the next line it is gone, and launches fall back as they would have before.
      await disk.remove(target)
      await disk.rename(root, target)
    },
    discard: () => disk.remove(root),
  }
}

/** Paths of everything below a directory; `null` when there is none or it holds anything but files. */
async function listTree(disk: Disk, root: string): Promise<{ files: string[]; directories: string[] } | null> {
  const [files, directories]: [string[], string[]] = [[], []]
  const pending = ['']
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    directories.push(directory)
    const entries = await disk.list(`${root}/${directory}`.replace(/\/$/, ''))
    if (entries === null || entries.some((entry) => entry.kind === 'other')) return null
    for (const { name, kind } of entries) {
      if (kind === 'directory') pending.push(`${directory}${name}/`)
      else files.push(`${directory}${name}`)
    }
  }
  return { files, directories }
}

async function persistTree(disk: Disk, bundlesPath: string, id: string): Promise<void> {
  const root = `${bundlesPath}/${id}`
  const tree = await listTree(disk, root)
  if (tree === null) throw new Error('its files are no longer there')
  await inOrder(tree.files, (path) => disk.syncFile(`${root}/${path}`))
  await inOrder(tree.directories, (path) => disk.syncDirectory(`${root}/${path}`.replace(/\/$/, '')))
  await disk.syncDirectory(bundlesPath)
  await disk.syncDirectory(parentOf(bundlesPath))
}

/** Digests every file of a directory; `null` when there is none or it holds anything but files. */
export async function digestTree(disk: Disk, root: string): Promise<FileDigest[] | null> {
  const paths = (await listTree(disk, root))?.files
  if (paths === undefined) return null
  const files: FileDigest[] = []
  await inOrder(paths, async (path) => {
    const content = await disk.readFile(`${root}/${path}`)
    if (content !== null) files.push({ path, sha256: await sha256Hex(content), size: content.length })
  })
  if (files.length !== paths.length) return null
  return files.toSorted((a, b) => (a.path < b.path ? -1 : 1))
}
