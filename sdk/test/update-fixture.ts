import { createSign, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { sha256Hex, validateArchive, writeArchive } from '../src/archive/index.js'
import type { NodeLiveUpdateOptions } from '../src/live-update/node/index.js'
import {
  type ChannelStatement,
  type Envelope,
  importPlatformSigner,
  importReleaseSigner,
  type ReleaseStatement,
  type RootStatement,
  signChannelStatement,
  signRelease,
  signRoot,
} from '../src/release/index.js'

export interface PemPair {
  publicKey: string
  privateKey: string
}
function toPem(pair: { publicKey: KeyObject; privateKey: KeyObject }): PemPair {
  return {
    publicKey: pair.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    privateKey: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}
export const rsaPair = (modulusLength = 2048): PemPair => toPem(generateKeyPairSync('rsa', { modulusLength }))
export const ed25519Pair = (): PemPair => toPem(generateKeyPairSync('ed25519'))

export const customer = rsaPair()
export const stranger = rsaPair()
export const platformKeys = ed25519Pair()
export const appId = '01980000-0000-7000-8000-0000000000aa'

/** A zip whose page says which version it is. */
export function bundle(version: string, extra: Record<string, string> = {}): Uint8Array<ArrayBuffer> {
  const files = { 'index.html': `<p>${version}</p>`, 'assets/app.js': `show("${version}")`, ...extra }
  return writeArchive(
    Object.entries(files).map(([path, text]) => ({ path, content: Buffer.from(text) })),
    deflateRawSync,
  )
}

export const signBytes = (bytes: Uint8Array, pair = customer): string =>
  createSign('sha256').update(bytes).sign(pair.privateKey).toString('base64')

export interface ReleaseChange {
  release?: Partial<ReleaseStatement>
  channel?: Partial<ChannelStatement>
  customer?: PemPair
  platform?: PemPair
}

/** The two envelopes for an archive, honest unless told otherwise. */
export async function releaseOf(
  archive: Uint8Array,
  sequence: number,
  change: ReleaseChange = {},
): Promise<{ release: Envelope; channelStatement: Envelope; releaseId: string }> {
  const now = Date.now()
  const statement: ReleaseStatement = {
    _type: 'capstan-release/v1',
    appId,
    platforms: ['electron'],
    channels: ['production'],
    bundleId: `bundle-${sequence}`,
    sequence,
    createdAt: new Date(now).toISOString(),
    expiresAt: new Date(now + 86_400_000).toISOString(),
    minNativeVersion: null,
    maxNativeVersion: null,
    rootVersion: 1,
    restores: null,
    provenance: null,
    archive: { sha256: await sha256Hex(archive), size: archive.length },
    files: await validateArchive(archive).catch(() => [{ path: 'index.html', sha256: 'a'.repeat(64), size: 1 }]),
    ...change.release,
  }
  const signer = await importReleaseSigner((change.customer ?? customer).privateKey, 'customer')
  const { envelope, releaseId } = await signRelease(statement, signer)
  const channelStatement = await signChannelStatement(
    {
      _type: 'capstan-channel/v1',
      appId,
      channel: 'production',
      platform: 'electron',
      release: { sha256: releaseId, sequence: statement.sequence },
      rollout: { deploymentId: 'deployment', percentage: 1 },
      issuedAt: new Date(now - 60_000).toISOString(),
      expiresAt: new Date(now + 3_600_000).toISOString(),
      ...change.channel,
    },
    await importPlatformSigner((change.platform ?? platformKeys).privateKey, 'platform'),
  )
  return { release: envelope, channelStatement, releaseId }
}

/** The next root of the same keys, which revokes bundles. */
export async function rootRevoking(revokedBundleIds: string[], version = 2): Promise<Envelope> {
  const statement: RootStatement = {
    _type: 'capstan-root/v1',
    appId,
    version,
    createdAt: new Date().toISOString(),
    releaseKeys: [customer.publicKey],
    platformKeys: [platformKeys.publicKey],
    revokedBundleIds,
  }
  return signRoot(statement, [await importReleaseSigner(customer.privateKey, 'customer')])
}

type Reply = (request: IncomingMessage, response: ServerResponse) => void

/** A server on loopback that says whatever a test tells it to. */
export interface UpdateServer {
  url: string
  requests: string[]
  latest: Reply
  download: Reply
  /** Publishes a bundle for the compat profile. */
  publish(bundleId: string, zip: Uint8Array, answer?: object, headers?: Record<string, string>): void
  close(): Promise<void>
}

const json =
  (body: unknown, status = 200): Reply =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
export const replyJson = json

export async function startServer(): Promise<UpdateServer> {
  const server = createServer((request, response) => {
    updates.requests.push(`${request.method} ${request.url}`)
    // The web client asks from another origin.
    response.setHeader('access-control-allow-origin', '*')
    response.setHeader('access-control-allow-headers', '*')
    response.setHeader('access-control-expose-headers', 'X-Signature')
    if (request.method === 'OPTIONS') response.writeHead(204).end()
    else if (request.url?.includes('/bundles/latest')) updates.latest(request, response)
    else updates.download(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const updates: UpdateServer = {
    url,
    requests: [],
    latest: json({ message: 'No bundle.' }, 404),
    download: json({ message: 'No file.' }, 404),
    publish(bundleId, zip, answer = {}, headers = {}) {
      updates.latest = json({ artifactType: 'zip', bundleId, url: `${url}/files/${bundleId}`, ...answer })
      updates.download = (_request, response) => {
        response.writeHead(200, { 'content-length': zip.length, ...headers }).end(zip)
      }
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return updates
}

export interface Device {
  directory: string
  builtIn: string
  options: NodeLiveUpdateOptions
  remove(): void
}

/** A fresh device with a built-in bundle. */
export function makeDevice(serverUrl: string, change: Partial<NodeLiveUpdateOptions> = {}): Device {
  const home = mkdtempSync(join(tmpdir(), 'capstan-device-'))
  const [directory, builtIn] = [join(home, 'live'), join(home, 'built-in')]
  for (const path of [directory, builtIn]) mkdirSync(path)
  writeFileSync(join(builtIn, 'index.html'), '<p>built-in</p>')
  const options: NodeLiveUpdateOptions = {
    appId,
    serverUrl,
    channel: 'production',
    publicKey: customer.publicKey,
    platformKey: platformKeys.publicKey,
    platform: 'electron',
    appVersionCode: '7',
    appVersionName: '1.2.3',
    directory,
    builtInDirectory: builtIn,
    ...change,
  }
  return { directory, builtIn, options, remove: () => rmSync(home, { recursive: true, force: true }) }
}

/** Which version a launched directory shows; throws when it is a mix of two. */
export function shown(directory: string): string {
  const page = /<p>(.*)<\/p>/.exec(readFileSync(join(directory, 'index.html'), 'utf8'))![1]!
  if (page === 'built-in') return page
  const script = readFileSync(join(directory, 'assets/app.js'), 'utf8')
  if (script !== `show("${page}")`) throw new Error(`a mix of versions: ${page} and ${script}`)
  return page
}

/** Names left in the staging folder. */
export function staged(device: Device): string[] {
  try {
    return readdirSync(join(device.directory, 'staging'))
  } catch {
    return []
  }
}
