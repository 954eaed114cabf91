// How fast a device takes an update: check both statements, download from memory, verify, unpack, hash, write. Beside it, in
// the same run: a plain SHA-256 of the same zip; and a program that does by bare calls what no client can leave out, with the
// time of each part. One JSON object for each shape of a bundle. Inputs: BENCH_ROUNDS (5), BENCH_MEGABYTES (20).
import { randomBytes } from 'node:crypto'
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { writeArchive } from '@capstan/sdk/archive'
import { createLiveUpdate as onCapacitor } from '@capstan/sdk/live-update/capacitor'
import { createLiveUpdate as onNode } from '@capstan/sdk/live-update/node'
import { runBareProgram } from './bare-program.mjs'
import { memoryDisk, memoryPlugins } from './memory-devices.mjs'
import { milliseconds } from './milliseconds.mjs'
import { customer, platform, signedAnswers } from './signed-answer.mjs'

const rounds = Number(process.env.BENCH_ROUNDS ?? 5)
const megabytes = Number(process.env.BENCH_MEGABYTES ?? 20)
const shapes = { 'few large files': 5, 'some files': 400, 'many small files': 1000 }
const chunkBytes = 64 * 1024
const home = mkdtempSync(join(tmpdir(), 'capstan-bench-'))
process.on('exit', () => rmSync(home, { recursive: true, force: true }))

/** Half text that packs well, half what packs badly, as scripts and images are. */
function makeFiles(count) {
  const size = Math.floor((megabytes * 1024 * 1024) / count)
  return Array.from({ length: count }, (_, index) => {
    const noise = randomBytes(size >> 2)
    return {
      path: index === 0 ? 'index.html' : `assets/${index}.js`,
      content: index % 2 === 0 ? randomBytes(size) : Buffer.from(noise.toString('hex').repeat(2).slice(0, size)),
    }
  })
}

/** A body that comes as the network brings it, piece by piece. */
function bodyOf(bytes) {
  let at = 0
  const pull = (controller) => {
    if (at < bytes.length) controller.enqueue(bytes.subarray(at, (at += chunkBytes)))
    else controller.close()
  }
  return new Response(new ReadableStream({ pull }))
}

function optionsFor(bytes, answer) {
  return {
    appId: 'bench',
    serverUrl: 'https://updates.example.com',
    channel: 'production',
    publicKey: customer.publicKey,
    platformKey: platform.publicKey,
    appVersionCode: '1',
    appVersionName: '1.0.0',
    world: { fetch: async (url) => (url.includes('/latest') ? new Response(answer) : bodyOf(bytes)) },
  }
}

function stage(updates) {
  return milliseconds(async () => {
    const { status } = await updates.sync()
    if (status !== 'staged') throw new Error(`the update was not staged but ${status}`)
  })
}

/** One update on a new device of Node: until it is staged, and what a start and its confirmation cost after that. */
async function takeUpdate(bytes, answerFor, disk) {
  const builtInDirectory = join(home, 'built-in')
  mkdirSync(builtInDirectory, { recursive: true })
  writeFileSync(join(builtInDirectory, 'index.html'), '')
  const { world, ...options } = optionsFor(bytes, await answerFor('electron'))
  const place = { platform: 'electron', directory: join(home, 'device'), builtInDirectory }
  const updates = await onNode({ ...options, ...place, world: { ...world, ...(disk ? { disk } : {}) } })
  const before = process.cpuUsage()
  const staging = await stage(updates)
  const { user, system } = process.cpuUsage(before)
  if (disk) return { staging }
  let nonce
  const launching = await milliseconds(async () => void ({ nonce } = await updates.launch()))
  const confirming = await milliseconds(() => updates.ready(nonce))
  return { staging, stagingCpu: (user + system) / 1000, launching, confirming }
}

async function takeOnCapacitor(bytes, answerFor) {
  const options = { ...optionsFor(bytes, await answerFor('android')), ...memoryPlugins(), platform: 'android' }
  return { staging: await stage(await onCapacitor(options)) }
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
const round = (value, digits = 1) => Math.round(value * 10 ** digits) / 10 ** digits

async function takeAll(files, packed) {
  const bytes = writeArchive(files, packed ? deflateRawSync : (content) => content)
  const answers = await signedAnswers(bytes)
  const times = { bare: [], memory: [], device: [], capacitor: [] }
  // The first round warms up and does not count.
  for (let at = 0; at <= rounds; at++) {
    const answerFor = await answers(at + 1)
    times.bare.push(await runBareProgram({ bytes, files, packed }, join(home, 'bare')))
    times.memory.push(await takeUpdate(bytes, answerFor, memoryDisk()))
    times.device.push(await takeUpdate(bytes, answerFor))
    times.capacitor.push(await takeOnCapacitor(bytes, answerFor))
    for (const name of ['bare', 'device']) rmSync(join(home, name), { recursive: true, force: true })
  }
  const of = (list, name) => median(times[list].slice(1).map((round) => round[name]))
  return { bytes, of, parts: Object.keys(times.bare[0]) }
}

async function measure(shape, files, kind) {
  const packed = kind === 'deflated' ? files.map(({ content }) => deflateRawSync(content)) : null
  const { bytes, of, parts } = await takeAll(files, packed)
  const [hash, bare] = [of('bare', 'hashZip'), of('bare', 'together')]
  const [verify, device, capacitor] = ['memory', 'device', 'capacitor'].map((list) => of(list, 'staging'))
  const megabytesPerSecond = (time) => round(bytes.length / 1000 / time)
  return {
    bench: 'sdk-verify-and-stage',
    archive: kind,
    shape,
    rounds,
    files: files.length,
    zipBytes: bytes.length,
    unpackedBytes: files.reduce((sum, { content }) => sum + content.length, 0),
    plainSha256MBps: megabytesPerSecond(hash),
    verifyMBps: megabytesPerSecond(verify),
    verifyAndStageMBps: megabytesPerSecond(device),
    capacitorMBps: megabytesPerSecond(capacitor),
    verifyRatio: round(hash / verify, 3),
    ratio: round(hash / device, 3),
    // The most that a client could reach which does only what has to be done, as fast as the bare calls together.
    bareRatio: round(hash / bare, 3),
    ratioToBare: round(bare / device, 3),
    bareMs: Object.fromEntries(parts.map((name) => [name, round(of('bare', name))])),
    stageMs: round(device),
    stageCpuMs: round(of('device', 'stagingCpu')),
    capacitorStageMs: round(capacitor),
    launchMs: round(of('device', 'launching')),
    confirmMs: round(of('device', 'confirming')),
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  }
}

for (const [shape, count] of Object.entries(shapes)) {
  const files = makeFiles(count)
  for (const kind of ['deflated', 'stored']) console.log(JSON.stringify(await measure(shape, files, kind)))
}
