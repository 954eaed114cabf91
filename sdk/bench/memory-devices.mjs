// Devices whose files cost nothing, to tell what checking and unpacking cost by themselves.

/** A disk for the Node client. */
export function memoryDisk() {
  const files = new Map()
  const inside = (path) => [...files.keys()].filter((name) => name.startsWith(`${path}/`))
  return {
    makeDirectory: async () => {},
    writeNewFile: async (path, content) => void files.set(path, content),
    async rename(from, to) {
      for (const name of files.has(from) ? [from] : inside(from)) {
        files.set(to + name.slice(from.length), files.get(name))
        files.delete(name)
      }
    },
    syncFile: async () => {},
    syncDirectory: async () => {},
    remove: async (path) => [path, ...inside(path)].forEach((name) => files.delete(name)),
    readFile: async (path) => files.get(path) ?? null,
    list: async (path) => (inside(path).length === 0 ? null : []),
  }
}

/** The plugins of a Capacitor app, whose files are base64 as they cross the bridge. */
export function memoryPlugins() {
  const [files, values] = [new Map(), new Map()]
  const inside = (path) => [...files.keys()].filter((name) => name.startsWith(`${path}/`))
  const filesystem = {
    mkdir: async () => {},
    writeFile: async ({ path, data }) => void files.set(path, data),
    readFile: async ({ path }) => ({ data: files.get(path) }),
    async readdir({ path }) {
      const names = inside(path).map((name) => name.slice(path.length + 1))
      if (names.length === 0) throw new Error('there is none')
      const entries = new Map(names.map((name) => [name.split('/')[0], name.includes('/') ? 'directory' : 'file']))
      return { files: Array.from(entries, ([name, type]) => ({ name, type })) }
    },
    async rename({ from, to }) {
      for (const name of inside(from)) {
        files.set(to + name.slice(from.length), files.get(name))
        files.delete(name)
      }
    },
    rmdir: async ({ path }) => inside(path).forEach((name) => files.delete(name)),
    getUri: async ({ path }) => ({ uri: `file:///${path}` }),
  }
  const preferences = {
    get: async ({ key }) => ({ value: values.get(key) ?? null }),
    set: async ({ key, value }) => void values.set(key, value),
  }
  return { filesystem, preferences, webView: { getServerBasePath: async () => ({ path: '' }) } }
}
