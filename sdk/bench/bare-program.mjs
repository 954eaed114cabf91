// What has to be done to take an update, by bare calls of Node: no client can leave any of it out.
import { createHash } from 'node:crypto'
import { mkdirSync, writeFile as writeFileTo } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { crc32, inflateRaw } from 'node:zlib'
import { milliseconds } from './milliseconds.mjs'

const writeFile = promisify(writeFileTo)
const sha256 = (bytes) => createHash('sha256').update(bytes).digest()

async function sideBySide(list, run) {
  const queue = list.entries()
  await Promise.all(
    Array.from({ length: 6 }, async () => {
      for (const [at, item] of queue) await run(item, at)
    }),
  )
}

function inflate(packed, size) {
  return new Promise((resolve, reject) => {
    inflateRaw(packed, { chunkSize: size + 64 }, (error, content) => (error ? reject(error) : resolve(content)))
  })
}

/**
 * The time of each part by itself, and of all of them `together`, as overlapped as the threads of Node allow. `flush` is
 * what durability costs after that.
 *
 * @param packed what the zip holds for each file; `null` where it holds the file itself
 */
export async function runBareProgram({ bytes, files, packed }, home) {
  const folder = (name) => {
    mkdirSync(join(home, name), { recursive: true })
    return join(home, name)
  }
  const write = (directory, content, at) => writeFile(join(directory, String(at)), content, { flag: 'wx' })
  const [apart, whole] = [folder('apart'), folder('together')]
  return {
    hashZip: await milliseconds(() => sha256(bytes)),
    inflate: await milliseconds(
      () => packed && sideBySide(files, ({ content }, at) => inflate(packed[at], content.length)),
    ),
    crc: await milliseconds(() => files.forEach(({ content }) => crc32(content))),
    hashFiles: await milliseconds(() => files.forEach(({ content }) => sha256(content))),
    write: await milliseconds(() => sideBySide(files, ({ content }, at) => write(apart, content, at))),
    flush: await milliseconds(() =>
      sideBySide(files, async (_, at) => {
        const handle = await open(join(apart, String(at)))
        await handle.sync()
        await handle.close()
      }),
    ),
    together: await milliseconds(async () => {
      sha256(bytes)
      await sideBySide(files, async (file, at) => {
        const content = packed ? await inflate(packed[at], file.content.length) : file.content
        crc32(content)
        const written = write(whole, content, at)
        sha256(content)
        await written
      })
    }),
  }
}
