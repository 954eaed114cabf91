import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import { createTestDatabase } from '@capstan/migrations/testing'
import { newId, openDatabase, withOrg } from '@capstan/migrations'
import { sql } from 'drizzle-orm'
import { expect, test } from 'vitest'

import { fillPublished, type Filled } from './fill-published.js'
import { median, report, rounded } from './report.js'

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 6)
const SECONDS = Number(process.env.BENCH_SECONDS ?? 3)
/** A part of the fleet, for a first look. */
const SCALE = Number(process.env.BENCH_SCALE ?? 1)
const SIZES = { apps: 10_000 * SCALE, bundles: 100_000 * SCALE, devices: 1_000_000 * SCALE }

type Served = { child: ChildProcess; url: string; loadMs: number; ask(question: string): Promise<number> }

/** A server of its own on the first core; everything else of the measurement is kept to the second. */
async function start(kind: string, env: Record<string, string> = {}): Promise<Served> {
  const script = fileURLToPath(new URL('check-server.mjs', import.meta.url))
  const child = spawn('taskset', ['-c', '0', process.execPath, script, kind], {
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines: string[] = []
  let wake: () => void = () => undefined
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    lines.push(...text.split('\n').filter(Boolean))
    wake()
  })
  const read = async (): Promise<string> => {
    while (lines.length === 0) await new Promise<void>((resolve) => (wake = resolve))
    return lines.shift() ?? ''
  }
  const { port, loadMs } = JSON.parse(await read()) as { port: number; loadMs: number }
  return {
    child,
    url: `http://127.0.0.1:${port}`,
    loadMs,
    async ask(question) {
      child.stdin.write(`${question}\n`)
      return Number(await read())
    },
  }
}

type Load = { requests: number; rps: number; p50Ms: number; p99Ms: number; failed: number }
type Measured = Load & { cpuMicros: number }

async function load(server: Served, paths: { prefix: string; apps: readonly string[] }): Promise<Measured> {
  const script = fileURLToPath(new URL('check-load.mjs', import.meta.url))
  const before = await server.ask('cpu')
  const child = spawn('taskset', ['-c', '1', process.execPath, script, server.url, String(SECONDS)], {
    env: { PATH: process.env.PATH ?? '' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.end(JSON.stringify(paths))
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (text += piece))
  await once(child, 'close')
  const result = JSON.parse(text) as Load
  return { ...result, cpuMicros: ((await server.ask('cpu')) - before) / result.requests }
}

const QUERY =
  '&appVersionName=1.0.0&bundleId&channelName=production&customId&osVersion=34&platform=0&pluginVersion=8.4.3'

test('update checks against a bare handler that gives the same bytes', async () => {
  await using database = await createTestDatabase()
  const filled: Filled = await fillPublished(database, SIZES)
  const one: Filled = { ...filled, apps: filled.apps.slice(0, 1) }
  const env = { DATABASE_URL: database.url('api') }
  const servers = {
    own: await start('own', env),
    hono: await start('hono', { ANSWER: filled.answer }),
    node: await start('node', { ANSWER: filled.answer }),
  }
  try {
    // The same bytes: compared before anything is measured.
    const path = `/v1/apps/${filled.apps[0]}/bundles/latest?appVersionCode=10&deviceId=${newId()}${QUERY}`
    const answers = await Promise.all(Object.values(servers).map(async ({ url }) => (await fetch(url + path)).text()))
    expect(new Set(answers).size).toBe(1)
    const paths = (from: Filled) => ({ prefix: QUERY, apps: from.apps })
    const warm = async () => {
      for (const server of Object.values(servers)) await load(server, paths(filled))
    }
    await warm()
    const rounds: Record<'own' | 'hono' | 'node' | 'single', Measured>[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      const order = round % 2 === 0 ? (['own', 'hono', 'node'] as const) : (['node', 'hono', 'own'] as const)
      const measured: Partial<Record<keyof typeof servers, Measured>> = {}
      for (const name of order) measured[name] = await load(servers[name], paths(filled))
      const single = await load(servers.own, paths(one))
      rounds.push({ ...(measured as Required<typeof measured>), single })
    }
    const rss = await servers.own.ask('rss')
    const visible = await measureVisible(database, filled, servers.own)
    const of = (pick: (round: (typeof rounds)[number]) => number, digits = 3) =>
      rounded(median(rounds.map(pick)), digits)
    report({
      name: 'check-endpoint',
      ...SIZES,
      loadMs: rounded(servers.own.loadMs),
      rssMb: rounded(rss / 1024 / 1024),
      rps: of(({ own }) => own.rps, 0),
      honoRps: of(({ hono }) => hono.rps, 0),
      nodeRps: of(({ node }) => node.rps, 0),
      ratio: of(({ own, hono }) => own.rps / hono.rps),
      goal: 0.9,
      ratioToNode: of(({ own, node }) => own.rps / node.rps),
      goalToNode: 0.8,
      p99Ms: of(({ own }) => own.p99Ms, 2),
      honoP99Ms: of(({ hono }) => hono.p99Ms, 2),
      p99Ratio: of(({ own, hono }) => own.p99Ms / hono.p99Ms),
      p99Goal: 1.5,
      cpuMicros: of(({ own }) => own.cpuMicros, 1),
      honoCpuMicros: of(({ hono }) => hono.cpuMicros, 1),
      nodeCpuMicros: of(({ node }) => node.cpuMicros, 1),
      cpuRatioToNode: of(({ own, node }) => node.cpuMicros / own.cpuMicros),
      oneAppRatio: of(({ own, single }) => own.rps / single.rps),
      visibleP50Ms: rounded(median(visible), 1),
      visibleMaxMs: rounded(Math.max(...visible), 1),
    })
    for (const { own, hono, node, single } of rounds) {
      for (const { failed } of [own, hono, node, single]) expect(failed).toBe(0)
    }
  } finally {
    for (const { child } of Object.values(servers)) child.kill()
  }
}, 600_000)

/** How long after its commit a change is in an answer. */
async function measureVisible(
  database: Awaited<ReturnType<typeof createTestDatabase>>,
  filled: Filled,
  server: Served,
): Promise<number[]> {
  await using opened = openDatabase({ url: database.url('api'), poolSize: 2 })
  const elapsed: number[] = []
  for (let count = 0; count < 50; count += 1) {
    const appId = filled.apps[count * 7] ?? ''
    const name = `renamed-${count}`
    await withOrg(opened.db, filled.orgId, (tx) =>
      tx.execute(sql`update channels set name = ${name} where app_id = ${appId} and name = 'production'`),
    )
    const committed = performance.now()
    const url = `${server.url}/v1/apps/${appId}/bundles/latest?platform=0&channelName=${name}`
    while ((await fetch(url)).status !== 200) expect(performance.now() - committed).toBeLessThan(5_000)
    elapsed.push(performance.now() - committed)
  }
  return elapsed
}
