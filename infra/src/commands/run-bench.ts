import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { requireComponents } from '../components/require-components.js'
import type { Config } from '../config.js'
import { startStorageServers, startTestServers } from '../stack/start-test-servers.js'
import { stopOnSignal } from '../stack/stop-on-signal.js'
import { Teardown } from '../stack/teardown.js'

/** Measurements that are given the builder image; the others make it themselves, or need none. */
const ofBuilder = ['cache-restore']

const note = (line: string): void => console.error(line)

async function runMeasurements(config: Config, args: readonly string[], env: Record<string, string>): Promise<number> {
  const vitest = join(config.checkout, 'node_modules', 'vitest', 'vitest.mjs')
  const bench = join(config.checkout, 'vitest.bench.config.ts')
  // These take many minutes, or need the builder image, and are done when they are named.
  const named = ['fault-*', 'large-log', ...ofBuilder].flatMap((name) => ['--exclude', `**/${name}.bench.ts`])
  const unasked = args.length === 0 ? named : []
  const child = spawn(process.execPath, [vitest, 'run', '--config', bench, ...unasked, ...args], {
    cwd: config.checkout,
    env: { ...config.baseEnv, NODE_NO_WARNINGS: '1', ...env },
    // Stdout is for the measurements alone.
    stdio: ['ignore', 2, 2],
  })
  const [code] = (await once(child, 'exit')) as [number | null]
  return code ?? 1
}

/** Measures on throw-away servers; prints one JSON object a line on stdout, everything else on stderr. */
export async function runBench(config: Config, args: readonly string[]): Promise<number> {
  const teardown = new Teardown()
  const interruption = stopOnSignal(teardown, note)
  try {
    await requireComponents(config, note)
    const options = { config, say: note, teardown }
    const usesBuilder = args.some((arg) => ofBuilder.some((name) => arg.includes(name)))
    const builder = usesBuilder ? await startTestServers(options) : undefined
    const servers = builder ?? (await startStorageServers(options))
    const scratch = join(servers.folder, 'tmp')
    mkdirSync(scratch, { mode: 0o711 })
    const reportFile = join(servers.folder, 'bench.jsonl')
    writeFileSync(reportFile, '')
    const code = await runMeasurements(config, args, {
      TEST_DATABASE_URL: servers.databaseUrl,
      TEST_REDIS_URL: servers.redisUrl,
      ...(builder && { DOCKER_HOST: builder.dockerHost, TEST_BUILDER_IMAGE: builder.builderImage }),
      BENCH_REPORT: reportFile,
      TMPDIR: scratch,
      HOME: scratch,
    })
    process.stdout.write(readFileSync(reportFile, 'utf8'))
    return code
  } catch (error) {
    if (interruption.wasAsked()) return 130
    throw error
  } finally {
    await teardown.run()
    interruption.forget()
  }
}
