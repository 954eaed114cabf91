// What an app ships: each entry point bundled, minified and gzipped. Printed as one JSON object a line.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { rolldown } from 'rolldown'

const root = new URL('..', import.meta.url)

/** Sizes in bytes: `core` is loaded at start, `total` includes what is loaded on demand. */
export async function measureSizes() {
  const { exports } = JSON.parse(await readFile(new URL('package.json', root), 'utf8'))
  const sizes = []
  for (const [name, file] of Object.entries(exports)) {
    const bundle = await rolldown({
      input: fileURLToPath(new URL(file, root)),
      external: [/^node:/],
      logLevel: 'silent',
    })
    const { output } = await bundle.generate({ format: 'esm', minify: true })
    await bundle.close()
    const packed = new Map(output.map((chunk) => [chunk.fileName, gzipSync(chunk.code, { level: 9 }).length]))
    const eager = new Set()
    const visit = (fileName) => {
      if (eager.has(fileName)) return
      eager.add(fileName)
      for (const next of output.find((chunk) => chunk.fileName === fileName)?.imports ?? []) visit(next)
    }
    for (const chunk of output) if (chunk.isEntry) visit(chunk.fileName)
    const sum = (names) => [...names].reduce((total, fileName) => total + (packed.get(fileName) ?? 0), 0)
    sizes.push({ bench: 'sdk-size', entry: name, coreGzipBytes: sum(eager), totalGzipBytes: sum(packed.keys()) })
  }
  return sizes
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const size of await measureSizes()) console.log(JSON.stringify(size))
}
