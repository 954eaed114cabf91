import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { requireComponents } from '../components/require-components.js'
import type { Config } from '../config.js'
import { Failure } from '../failure.js'
import { startTestServers } from '../stack/start-test-servers.js'
import { stopOnSignal } from '../stack/stop-on-signal.js'
import { Teardown } from '../stack/teardown.js'
import { countTests, type TestReport } from './count-tests.js'

const say = (line: string): void => console.log(line)

function readReport(file: string): TestReport {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as TestReport
  } catch {
    throw new Failure('The test runner ended without a report.')
  }
}

async function runVitest(
  config: Config,
  args: readonly string[],
  env: Record<string, string>,
  reportFile: string,
): Promise<number> {
  const vitest = join(config.checkout, 'node_modules', 'vitest', 'vitest.mjs')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`]
  const child = spawn(process.execPath, [vitest, 'run', ...reporters, ...args], {
    cwd: config.checkout,
    env: { ...config.baseEnv, ...config.registries, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const [code] = (await once(child, 'exit')) as [number | null]
  return code ?? 1
}

/** Starts throw-away servers, runs every test against them, and stops them. */
export async function runTests(config: Config, args: readonly string[]): Promise<number> {
  const teardown = new Teardown()
  const interruption = stopOnSignal(teardown, say)
  try {
    // The web client is tested in a real browser.
    await requireComponents(config, say, config.baseEnv['CHROMIUM_PATH'] ? ['sshServer'] : ['sshServer', 'chromium'])
    const servers = await startTestServers({ config, say, teardown })
    const scratch = join(servers.folder, 'tmp')
    mkdirSync(scratch, { mode: 0o711 })
    const reportFile = join(servers.folder, 'report.json')
    const env = {
      TEST_DATABASE_URL: servers.databaseUrl,
      TEST_REDIS_URL: servers.redisUrl,
      TEST_BUILDER_IMAGE: servers.builderImage,
      DOCKER_HOST: servers.dockerHost,
      TMPDIR: scratch,
      HOME: scratch,
    }
    const code = await runVitest(config, args, env, reportFile)
    const { passed, failed } = countTests(readReport(reportFile))
    await teardown.run()
    say(`${passed} passed, ${failed} failed`)
    return code === 0 && failed > 0 ? 1 : code
  } catch (error) {
    if (interruption.wasAsked()) return 130
    throw error
  } finally {
    await teardown.run()
    interruption.forget()
  }
}
