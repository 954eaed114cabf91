import { decodeBase64, encodeBase64 } from '../../release/base64.js'
import type { BundleStorage } from '../bundle-storage.js'
import { diskStorage } from '../disk-storage.js'
import type { Disk } from '../disk.js'
import type { FilesystemPlugin, PreferencesPlugin } from './plugins.js'

/**
 * The steps of a disk over the file plugin. The plugin cannot make files durable; a bundle that lost bytes with the power
 * is noticed at the next launch, which reads every file of it. What cannot be read counts as not there.
 */
function pluginDisk(filesystem: FilesystemPlugin, directory: never): Disk {
  const disk: Disk = {
    async makeDirectory(path) {
      if ((await disk.list(path)) === null) await filesystem.mkdir({ path, directory, recursive: true })
    },
    async writeNewFile(path, content) {
      await filesystem.writeFile({ path, directory, data: encodeBase64(content) })
    },
    syncFile: () => Promise.resolve(),
    rename: (from, to) => filesystem.rename({ from, to, directory, toDirectory: directory }),
    syncDirectory: () => Promise.resolve(),
    async remove(path) {
      if ((await disk.list(path)) !== null) await filesystem.rmdir({ path, directory, recursive: true })
    },
    async readFile(path) {
      const file = await filesystem.readFile({ path, directory }).catch(() => null)
      return typeof file?.data === 'string' ? decodeBase64(file.data.replace(/[\r\n]/g, '')) : null
    },
    async list(path) {
      const found = await filesystem.readdir({ path, directory }).catch(() => null)
      if (found === null) return null
      return found.files.map(({ name, type }) => ({
        name,
        kind: type === 'file' || type === 'directory' ? type : 'other',
      }))
    },
  }
  return disk
}

/**
 * Bundles as files of the app, the state in native preferences: both survive when the system clears a web view's storage.
 *
 * @param directory where in the app's files, and under which key of the preferences
 */
export async function pluginStorage(
  plugins: { filesystem: FilesystemPlugin; preferences: PreferencesPlugin },
  place: { directory: string; folder: string; builtIn: Pick<BundleStorage, 'digest' | 'read'> | null },
): Promise<BundleStorage> {
  const { filesystem, preferences } = plugins
  const { builtIn } = place
  const directory = place.directory as never
  const key = `${place.folder}/state`
  const { pathOf, readFile, digest, ...bundles } = diskStorage(place.folder, pluginDisk(filesystem, directory))
  const { uri } = await filesystem.getUri({ path: place.folder, directory })
  const folder = decodeURI(uri.replace(/^file:\/\//, '')).replace(/\/$/, '')
  return {
    ...bundles,
    // The plugin cannot.
    persist: () => Promise.resolve(),
    // The files of the app itself are not the file plugin's to read.
    digest: async (id) => (id === null ? (builtIn?.digest(id) ?? null) : digest(id)),
    read: async (id, path) => (id === null ? (builtIn?.read(id, path) ?? null) : readFile(id, path)),
    readState: async () => (await preferences.get({ key })).value,
    writeState: (value) => preferences.set({ key, value }),
    locate: (bundle) => (bundle === null ? '' : folder + pathOf(bundle).slice(place.folder.length)),
  }
}
