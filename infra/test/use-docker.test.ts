import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readConfig } from '../src/config.js'
import { dockerProblem } from '../src/stack/ask-docker.js'
import { useDocker, type DockerOptions } from '../src/stack/use-docker.js'

const config = readConfig()
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'docker-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function ownDaemon(): DockerOptions & { daemon: { dockerHost: string } } {
  const dockerHost = `unix://${folder}/docker.sock`
  const folders = [
    '--data-root',
    join(folder, 'data'),
    '--exec-root',
    join(folder, 'exec'),
    '--pidfile',
    join(folder, 'pid'),
  ]
  const args = ['--host', dockerHost, ...folders, '--iptables=false', '--ip6tables=false']
  return {
    dockerHost: undefined,
    isRoot: true,
    user: config.user,
    baseEnv: config.baseEnv,
    say: () => {},
    runFolder: join(folder, 'run'),
    daemon: { dockerHost, args },
  }
}

test.runIf(config.isRoot && process.platform === 'linux')(
  'the daemon that Capstan started runs until its last user is gone',
  async () => {
    const options = ownDaemon()
    expect(await dockerProblem(options.daemon.dockerHost)).toBeDefined()
    const [first, second] = await Promise.all([useDocker(options), useDocker(options)])
    expect(await dockerProblem(options.daemon.dockerHost)).toBeUndefined()
    expect(readdirSync(join(folder, 'run', 'users'))).toHaveLength(2)
    await first.release()
    expect(await dockerProblem(options.daemon.dockerHost)).toBeUndefined()
    await second.release()
    expect(await dockerProblem(options.daemon.dockerHost)).toBeDefined()
  },
  90_000,
)

test('a daemon that was there already is used and left alone', async () => {
  const options = { ...ownDaemon(), dockerHost: config.dockerHost ?? 'unix:///var/run/docker.sock' }
  const use = await useDocker(options)
  expect(use.dockerHost).toBe(options.dockerHost)
  await use.release()
  expect(await dockerProblem(options.dockerHost)).toBeUndefined()
})

test('a DOCKER_HOST that does not answer is named and ends with exit code 2', async () => {
  const refusal = useDocker({ ...ownDaemon(), dockerHost: `unix://${folder}/nobody.sock` })
  await expect(refusal).rejects.toMatchObject({
    exitCode: 2,
    message: expect.stringContaining('nobody.sock does not answer'),
  })
})
