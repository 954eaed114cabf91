import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RanTests } from '../attack/proofs.js'
import { requireComponents } from '../components/require-components.js'
import type { Config } from '../config.js'
import { Failure } from '../failure.js'
import type { Say } from '../report-progress.js'
import { startTestServers } from '../stack/start-test-servers.js'
import { stopOnSignal } from '../stack/stop-on-signal.js'
import { Teardown } from '../stack/teardown.js'
import type { TestReport } from './count-tests.js'

type Report = TestReport & RanTests

interface RunOfTests {
  readonly code: number
  readonly report: Report
}

function readReport(file: string): Report {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Report
  } catch {
    throw new Failure('The test runner ended without a report.')
  }
}

async function spawnVitest(config: Config, args: readonly string[], env: Record<string, string>): Promise<number> {
  const vitest = join(config.checkout, 'node_modules', 'vitest', 'vitest.mjs')
  const child = spawn(process.execPath, [vitest, 'run', ...args], {
    cwd: config.checkout,
    env: { ...config.baseEnv, ...config.registries, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const [code] = (await once(child, 'exit')) as [number | null]
  return code ?? 1
}

/** Starts throw-away servers, runs tests against them, stops them; null when it was interrupted. */
export async function runVitest(config: Config, say: Say, args: readonly string[]): Promise<RunOfTests | null> {
  const teardown = new Teardown()
  const interruption = stopOnSignal(teardown, say)
  try {
    // The web client is tested in a real browser.
    await requireComponents(config, say, config.baseEnv['CHROMIUM_PATH'] ? ['sshServer'] : ['sshServer', 'chromium'])
    const servers = await startTestServers({ config, say, teardown })
    const scratch = join(servers.folder, 'tmp')
    mkdirSync(scratch, { mode: 0o711 })
    const reportFile = join(servers.folder, 'report.json')
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`]
    const code = await spawnVitest(config, [...reporters, ...args], {
      TEST_DATABASE_URL: servers.databaseUrl,
      TEST_REDIS_URL: servers.redisUrl,
      TEST_BUILDER_IMAGE: servers.builderImage,
      DOCKER_HOST: servers.dockerHost,
      TMPDIR: scratch,
      HOME: scratch,
    })
    return { code, report: readReport(reportFile) }
  } catch (error) {
    if (interruption.wasAsked()) return null
    throw error
  } finally {
    await teardown.run()
    interruption.forget()
  }
}
