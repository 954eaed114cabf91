import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { pack } from 'tar-stream'
import { parseHostRule } from '../src/egress/host-policy.js'
import type { BuildWorld } from '../src/run-build.js'

export const tarballPath = '/buoy/-/buoy-1.0.0.tgz'

export type PackageRegistry = Disposable & {
  port: number
  /** The registry as a build reaches it, without a slash at its end. */
  url: string
  integrity: string
  /** Paths that were asked for, in order. */
  served: string[]
  /** Lets a build reach the registry and nothing else. */
  world: Partial<BuildWorld>
}

/** A registry on the loopback with one package, whose tarball and description it gives to whoever asks. */
export async function openRegistry(): Promise<PackageRegistry> {
  const manifest = { name: 'buoy', version: '1.0.0' }
  const archive = pack()
  archive.entry({ name: 'package/package.json' }, JSON.stringify(manifest))
  archive.entry({ name: 'package/ballast.bin' }, randomBytes(200_000))
  archive.finalize()
  const tarball = gzipSync(await buffer(archive))
  const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`
  const served: string[] = []
  const server = createServer((request, response) => {
    served.push(request.url ?? '')
    const dist = { tarball: `http://${request.headers.host}${tarballPath}`, integrity }
    const description = { name: 'buoy', 'dist-tags': { latest: '1.0.0' }, versions: { '1.0.0': { ...manifest, dist } } }
    if (request.url === tarballPath) response.end(tarball)
    else if (request.url === '/buoy') response.end(JSON.stringify(description))
    else response.writeHead(404).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const rule = parseHostRule(`registry.test:${port}`)
  return {
    port,
    url: `http://registry.test:${port}`,
    integrity,
    served,
    world: {
      hostPolicy: { allowed: [], privateAllowed: rule ? [rule] : [], appHostsCount: true },
      resolve: () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]),
    },
    [Symbol.dispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}
