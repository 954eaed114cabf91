import { join } from 'node:path'
import type { BundleStorage } from '../bundle-storage.js'
import type { Disk } from '../disk.js'
import { digestTree, diskStorage } from '../disk-storage.js'
import { nodeDisk } from './disk.js'

/** Bundles and state in one directory. `state.json`, the pointer, is replaced by rename. */
export function fileStorage(directory: string, builtInDirectory: string, disk: Disk = nodeDisk): BundleStorage {
  const statePath = join(directory, 'state.json')
  const { pathOf, readFile, digest, ...bundles } = diskStorage(directory, disk)
  return {
    ...bundles,
    digest: (id) => (id === null ? digestTree(disk, builtInDirectory) : digest(id)),
    read: (id, path) => (id === null ? disk.readFile(join(builtInDirectory, path)) : readFile(id, path)),
    async readState() {
      const bytes = await disk.readFile(statePath)
      return bytes === null ? null : new TextDecoder().decode(bytes)
    },
    async writeState(text) {
      const temporary = `${statePath}.new`
      await disk.makeDirectory(directory)
      await disk.remove(temporary)
      await disk.writeNewFile(temporary, new TextEncoder().encode(text))
      await disk.syncFile(temporary)
      await disk.rename(temporary, statePath)
      await disk.syncDirectory(directory)
    },
    locate: (bundle) => (bundle === null ? builtInDirectory : join(pathOf(bundle))),
  }
}
