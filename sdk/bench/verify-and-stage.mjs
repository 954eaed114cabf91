// How fast a device takes an update: check both statements, download from memory, verify, unpack, hash, write, fsync; beside
// a plain SHA-256 of the same zip in the same run, and beside a program that only hashes, writes and syncs the same files. One JSON object a line. Inputs: BENCH_ROUNDS (5), BENCH_MEGABYTES (20).
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { sha256Hex, validateArchive, writeArchive } from '@capstan/sdk/archive'
import { createLiveUpdate } from '@capstan/sdk/live-update/node'
import { importPlatformSigner, importReleaseSigner, signChannelStatement, signRelease } from '@capstan/sdk/release'

const rounds = Number(process.env.BENCH_ROUNDS ?? 5)
const megabytes = Number(process.env.BENCH_MEGABYTES ?? 20)
const fileCount = 400
const home = mkdtempSync(join(tmpdir(), 'capstan-bench-'))
process.on('exit', () => rmSync(home, { recursive: true, force: true }))

const pem = (pair) => ({
  publicKey: pair.publicKey.export({ type: 'spki', format: 'pem' }),
  privateKey: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }),
})
const customer = pem(generateKeyPairSync('rsa', { modulusLength: 3072 }))
const platform = pem(generateKeyPairSync('ed25519'))

/** Half text that packs well, half what packs badly, as scripts and images are. */
function makeBundle() {
  const size = Math.floor((megabytes * 1024 * 1024) / fileCount)
  const files = Array.from({ length: fileCount }, (_, index) => {
    const noise = randomBytes(size >> 2)
    return {
      path: index === 0 ? 'index.html' : `assets/${index}.js`,
      content: index % 2 === 0 ? randomBytes(size) : Buffer.from(noise.toString('hex').repeat(2).slice(0, size)),
    }
  })
  const contents = files.map((file) => file.content)
  return { bytes: writeArchive(files, deflateRawSync), unpacked: size * fileCount, contents }
}

async function answerFor(bytes, sequence) {
  const now = Date.now()
  const time = (offset) => new Date(now + offset).toISOString()
  const { envelope: release, releaseId } = await signRelease(
    {
      _type: 'capstan-release/v1',
      appId: 'bench',
      platforms: ['electron'],
      channels: ['production'],
      bundleId: `bundle-${sequence}`,
      sequence,
      createdAt: time(0),
      expiresAt: time(3_600_000),
      minNativeVersion: null,
      maxNativeVersion: null,
      rootVersion: 1,
      restores: null,
      provenance: null,
      archive: { sha256: await sha256Hex(bytes), size: bytes.length },
      files: await validateArchive(bytes),
    },
    await importReleaseSigner(customer.privateKey, 'k'),
  )
  const channelStatement = await signChannelStatement(
    {
      _type: 'capstan-channel/v1',
      appId: 'bench',
      channel: 'production',
      platform: 'electron',
      release: { sha256: releaseId, sequence },
      rollout: { deploymentId: 'd', percentage: 1 },
      issuedAt: time(0),
      expiresAt: time(3_600_000),
    },
    await importPlatformSigner(platform.privateKey, 'p'),
  )
  return {
    artifactType: 'zip',
    bundleId: `bundle-${sequence}`,
    url: 'https://cdn.example.com/b',
    release,
    channelStatement,
  }
}

/** A disk that costs nothing, to tell what checking and unpacking cost by themselves. */
function memoryDisk() {
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

async function takeUpdate(bytes, round, disk) {
  const builtInDirectory = join(home, 'built-in')
  mkdirSync(builtInDirectory, { recursive: true })
  writeFileSync(join(builtInDirectory, 'index.html'), '')
  const answer = JSON.stringify(await answerFor(bytes, round + 1))
  const updates = await createLiveUpdate({
    appId: 'bench',
    serverUrl: 'https://updates.example.com',
    channel: 'production',
    publicKey: customer.publicKey,
    platformKey: platform.publicKey,
    platform: 'electron',
    appVersionCode: '1',
    appVersionName: '1.0.0',
    directory: join(home, `device-${round}`),
    builtInDirectory,
    world: {
      fetch: (url) => Promise.resolve(new Response(url.includes('/latest') ? answer : bytes)),
      ...(disk ? { disk } : {}),
    },
  })
  const started = performance.now()
  const { status } = await updates.sync()
  const milliseconds = performance.now() - started
  if (status !== 'staged') throw new Error(`the update was not staged but ${status}`)
  return milliseconds
}

/** The same bytes hashed, written file by file and synced, and nothing else: what no client can be faster than. */
async function storeBare(bytes, contents, round) {
  const directory = join(home, `bare-${round}`)
  const started = performance.now()
  createHash('sha256').update(bytes).digest()
  await mkdir(directory)
  const handles = []
  const eachOf = async (list, run) => {
    const queue = list.entries()
    await Promise.all(
      Array.from({ length: 6 }, async () => {
        for (const [at, item] of queue) await run(item, at)
      }),
    )
  }
  await eachOf(contents, async (content, at) => {
    createHash('sha256').update(content).digest()
    const handle = await open(join(directory, String(at)), 'wx')
    await handle.writeFile(content)
    handles.push(handle)
  })
  await eachOf(handles, async (handle) => {
    await handle.sync()
    await handle.close()
  })
  return performance.now() - started
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
const { bytes, unpacked, contents } = makeBundle()
const [plain, bare, verified, staged] = [[], [], [], []]
for (let round = 0; round < rounds; round++) {
  const started = performance.now()
  createHash('sha256').update(bytes).digest()
  plain.push(performance.now() - started)
  bare.push(await storeBare(bytes, contents, round))
  verified.push(await takeUpdate(bytes, round, memoryDisk()))
  staged.push(await takeUpdate(bytes, round))
}
const megabytesPerSecond = (milliseconds) => Math.round((bytes.length / 1e6 / milliseconds) * 1e4) / 10
console.log(
  JSON.stringify({
    bench: 'sdk-verify-and-stage',
    rounds,
    zipBytes: bytes.length,
    unpackedBytes: unpacked,
    files: fileCount,
    plainSha256MBps: megabytesPerSecond(median(plain)),
    verifyMBps: megabytesPerSecond(median(verified)),
    verifyRatio: Math.round((median(plain) / median(verified)) * 1000) / 1000,
    verifyAndStageMBps: megabytesPerSecond(median(staged)),
    ratio: Math.round((median(plain) / median(staged)) * 1000) / 1000,
    bareStoreMBps: megabytesPerSecond(median(bare)),
    ratioToBareStore: Math.round((median(bare) / median(staged)) * 1000) / 1000,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  }),
)
