// How fast a device takes an update: check both statements, download from memory, verify, unpack, hash, write. Beside it, in
// the same run: a plain SHA-256 of the same zip; and a program that does by bare calls what no client can leave out, with the
// time of each part. One JSON object a line. Inputs: BENCH_ROUNDS (5), BENCH_MEGABYTES (20).
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { open, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32, deflateRawSync, inflateRaw } from 'node:zlib'
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
function makeFiles() {
  const size = Math.floor((megabytes * 1024 * 1024) / fileCount)
  return Array.from({ length: fileCount }, (_, index) => {
    const noise = randomBytes(size >> 2)
    return {
      path: index === 0 ? 'index.html' : `assets/${index}.js`,
      content: index % 2 === 0 ? randomBytes(size) : Buffer.from(noise.toString('hex').repeat(2).slice(0, size)),
    }
  })
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

const milliseconds = async (run) => {
  const started = performance.now()
  await run()
  return performance.now() - started
}

/** One update on a new device: until it is staged, and what a start and its confirmation cost after that. */
async function takeUpdate(bytes, name, answer, disk) {
  const builtInDirectory = join(home, 'built-in')
  mkdirSync(builtInDirectory, { recursive: true })
  writeFileSync(join(builtInDirectory, 'index.html'), '')
  const updates = await createLiveUpdate({
    appId: 'bench',
    serverUrl: 'https://updates.example.com',
    channel: 'production',
    publicKey: customer.publicKey,
    platformKey: platform.publicKey,
    platform: 'electron',
    appVersionCode: '1',
    appVersionName: '1.0.0',
    directory: join(home, name),
    builtInDirectory,
    world: {
      fetch: (url) => Promise.resolve(new Response(url.includes('/latest') ? answer : bytes)),
      ...(disk ? { disk } : {}),
    },
  })
  const staging = await milliseconds(async () => {
    const { status } = await updates.sync()
    if (status !== 'staged') throw new Error(`the update was not staged but ${status}`)
  })
  if (disk) return { staging }
  let nonce
  const launching = await milliseconds(async () => void ({ nonce } = await updates.launch()))
  const confirming = await milliseconds(() => updates.ready(nonce))
  return { staging, launching, confirming }
}

const sideBySide = async (list, run) => {
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

/** What has to be done, by bare calls and part by part; `flush` is what durability costs after that. */
async function doBare(bytes, files, name) {
  const directory = join(home, name)
  mkdirSync(directory)
  const packed = files.map(({ content }) => deflateRawSync(content))
  const deflated = bytes.length < files.reduce((sum, { content }) => sum + content.length, 0)
  return {
    hashZip: await milliseconds(() => createHash('sha256').update(bytes).digest()),
    inflate: await milliseconds(async () => {
      if (deflated) await sideBySide(files, ({ content }, at) => inflate(packed[at], content.length))
    }),
    crc: await milliseconds(() => files.forEach(({ content }) => crc32(content))),
    hashFiles: await milliseconds(() => files.forEach(({ content }) => createHash('sha256').update(content).digest())),
    write: await milliseconds(() =>
      sideBySide(files, ({ content }, at) => writeFile(join(directory, String(at)), content, { flag: 'wx' })),
    ),
    flush: await milliseconds(() =>
      sideBySide(files, async (_, at) => {
        const handle = await open(join(directory, String(at)))
        await handle.sync()
        await handle.close()
      }),
    ),
  }
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
const round = (value, digits = 1) => Math.round(value * 10 ** digits) / 10 ** digits

async function measure(kind, files, pack) {
  const bytes = writeArchive(files, pack)
  const [bare, verified, taken] = [[], [], []]
  // The first round warms up and does not count.
  for (let at = 0; at <= rounds; at++) {
    const answer = JSON.stringify(await answerFor(bytes, at + 1))
    bare.push(await doBare(bytes, files, `bare-${kind}-${at}`))
    verified.push(await takeUpdate(bytes, `memory-${kind}-${at}`, answer, memoryDisk()))
    taken.push(await takeUpdate(bytes, `device-${kind}-${at}`, answer))
  }
  const of = (list, name) => median(list.slice(1).map((times) => times[name]))
  const parts = Object.fromEntries(Object.keys(bare[0]).map((name) => [name, of(bare, name)]))
  const [verify, stage] = [of(verified, 'staging'), of(taken, 'staging')]
  const all = Object.values(parts).reduce((sum, time) => sum + time, -parts.flush)
  const megabytesPerSecond = (time) => round(bytes.length / 1000 / time)
  return {
    bench: 'sdk-verify-and-stage',
    archive: kind,
    rounds,
    zipBytes: bytes.length,
    unpackedBytes: files.reduce((sum, { content }) => sum + content.length, 0),
    files: files.length,
    plainSha256MBps: megabytesPerSecond(parts.hashZip),
    verifyMBps: megabytesPerSecond(verify),
    verifyAndStageMBps: megabytesPerSecond(stage),
    verifyRatio: round(parts.hashZip / verify, 3),
    ratio: round(parts.hashZip / stage, 3),
    // The most that a client could reach which does only what has to be done, as fast as the bare calls.
    bareRatio: round(parts.hashZip / all, 3),
    ratioToBare: round(all / stage, 3),
    bareMs: Object.fromEntries(Object.entries(parts).map(([name, time]) => [name, round(time)])),
    stageMs: round(stage),
    launchMs: round(of(taken, 'launching')),
    confirmMs: round(of(taken, 'confirming')),
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  }
}

const files = makeFiles()
console.log(JSON.stringify(await measure('deflated', files, deflateRawSync)))
console.log(JSON.stringify(await measure('stored', files, (content) => content)))
