import { dirname, join, relative } from 'node:path'
import { type FileDigest, sha256Hex } from '../../archive/sha256.js'
import type { BundleStorage, StagedBundle } from '../bundle-storage.js'
import { type Disk, nodeDisk } from './disk.js'

/**
 * Bundles and state in one directory:
 * `state.json` (the pointer, replaced by rename), `bundles/<sha256>/` (complete by construction), `staging/` (never looked at).
 */
export function fileStorage(directory: string, builtInDirectory: string, disk: Disk = nodeDisk): BundleStorage {
  const statePath = join(directory, 'state.json')
  const bundlesPath = join(directory, 'bundles')
  const stagingPath = join(directory, 'staging')
  const decoder = new TextDecoder()

  return {
    async readState() {
      const bytes = await disk.readFile(statePath)
      return bytes === null ? null : decoder.decode(bytes)
    },
    async writeState(text) {
      const temporary = `${statePath}.new`
      await disk.makeDirectory(directory)
      await disk.remove(temporary)
      await disk.writeNewFile(temporary, new TextEncoder().encode(text))
      await disk.rename(temporary, statePath)
      await disk.syncDirectory(directory)
    },
    async stage() {
      const root = join(stagingPath, globalThis.crypto.randomUUID())
      await disk.makeDirectory(root)
      return stagedBundle(disk, root, bundlesPath)
    },
    digest: (id) => digestTree(disk, join(bundlesPath, id)),
    async prune(keep) {
      for (const { name } of (await disk.list(bundlesPath)) ?? []) {
        if (!keep.includes(name)) await disk.remove(join(bundlesPath, name))
      }
    },
    clearStaged: () => disk.remove(stagingPath),
    locate: (bundle) => (bundle === null ? builtInDirectory : join(bundlesPath, bundle.id, bundle.root)),
  }
}

function stagedBundle(disk: Disk, root: string, bundlesPath: string): StagedBundle {
  const directories = new Set([root])
  return {
    async write(path, content) {
      const target = join(root, ...path.split('/'))
      if (relative(root, target).startsWith('..')) throw new Error('a file would leave its bundle')
      const parent = dirname(target)
      if (!directories.has(parent)) await disk.makeDirectory(parent)
      for (let at = parent; !directories.has(at); at = dirname(at)) directories.add(at)
      await disk.writeNewFile(target, content)
    },
    async commit(id) {
      const target = join(bundlesPath, id)
      for (const directory of directories) await disk.syncDirectory(directory)
      await disk.makeDirectory(bundlesPath)
      // Only a damaged bundle is ever replaced; until the next line it is gone, and launches fall back as they would have before.
      await disk.remove(target)
      await disk.rename(root, target)
      await disk.syncDirectory(bundlesPath)
    },
    discard: () => disk.remove(root),
  }
}

async function digestTree(disk: Disk, root: string): Promise<FileDigest[] | null> {
  const files: FileDigest[] = []
  const pending: { path: string; name: string }[] = [{ path: root, name: '' }]
  for (let directory = pending.pop(); directory; directory = pending.pop()) {
    const entries = await disk.list(directory.path)
    if (entries === null || entries.some((entry) => entry.kind === 'other')) return null
    for (const { name, kind } of entries) {
      const entry = { path: join(directory.path, name), name: `${directory.name}${name}` }
      if (kind === 'directory') pending.push({ path: entry.path, name: `${entry.name}/` })
      else {
        const content = await disk.readFile(entry.path)
        if (content === null) return null
        files.push({ path: entry.name, sha256: await sha256Hex(content), size: content.length })
      }
    }
  }
  return files.toSorted((a, b) => (a.path < b.path ? -1 : 1))
}
