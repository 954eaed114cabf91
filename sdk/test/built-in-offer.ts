import { randomBytes } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import { validateArchive, writeArchive } from '../src/archive/index.js'
import { layOut } from '../src/delta/index.js'
import { makePatch } from '../src/delta/make/index.js'
import type { HostileServer } from './conformance/hostile-server.js'

type Files = Record<string, string>

/** A web build that packs badly, so that a patch is far cheaper than an archive. */
const library = randomBytes(30_000).toString('hex')
export const shippedId = 'shipped-1'

export function webBuild(version: string): Files {
  return {
    'index.html': `<p>${version}</p>`,
    'assets/app.js': `show("${version}")`,
    'assets/library.js': `${library}/* ${version} */`,
  }
}

const zipOf = (files: Files): Uint8Array<ArrayBuffer> =>
  writeArchive(
    Object.entries(files).map(([path, text]) => ({ path, content: Buffer.from(text) })),
    deflateRawSync,
  )

/** The list that `capstan publish --built-in` writes for a bundle. */
export async function listOf(files: Files): Promise<string> {
  return JSON.stringify({ bundleId: shippedId, files: await validateArchive(zipOf(files)) })
}

/** Offers a release, and a patch that leads to it from what the app was shipped with. */
export async function offerPatched(
  server: HostileServer,
  shipped: Files,
  next: Files,
  { sizeBytes, spoilArchive = false }: { sizeBytes?: number; spoilArchive?: boolean } = {},
): Promise<{ downloads: string[] }> {
  const [zip, before] = [zipOf(next), zipOf(shipped)]
  const layout = layOut(await validateArchive(before), await validateArchive(zip))
  const join = (paths: readonly { path: string }[], files: Files): Uint8Array =>
    Buffer.concat(paths.map(({ path }) => Buffer.from(files[path] ?? '')))
  const patch = makePatch(join(layout.old, shipped), join(layout.fresh, next), { effort: 'fast' })
  if (patch === null) throw new Error('no patch')
  const url = `${server.http.url}/patches/1`
  await server.offerRelease(zip, {
    answer: { patches: [{ from: 'a'.repeat(64), url, sizeBytes: sizeBytes ?? patch.length }] },
  })
  const downloads: string[] = []
  server.http.download = (request, response) => {
    downloads.push(request.url ?? '')
    response.end(request.url === '/patches/1' ? patch : spoilArchive ? zip.map((byte) => byte ^ 1) : zip)
  }
  return { downloads }
}
