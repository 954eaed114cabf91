import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { BrokerClient } from '../src/broker-client.js'
import { parseHostRule } from '../src/egress/host-policy.js'
import type { Bench } from './build-bench.js'
import { openBench } from './build-bench.js'

let folder: string
let server: ChildProcess
let port: number
let bench: Bench
let commit: string
let knownHosts: string
const said: string[] = []

const read = (name: string) => readFileSync(join(folder, name), 'utf8')
const makeKey = (name: string) =>
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', join(folder, name)])

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'capstan-ssh-'))
  for (const name of ['host', 'deploy', 'other']) makeKey(name)
  chmodSync(folder, 0o755)
  port = await freePort()
  knownHosts = `[git.test]:${port} ${read('host.pub').trim()}\n`
  makeRepository()
  await startServer()
})
afterAll(async () => {
  server.kill()
  rmSync(folder, { recursive: true })
})
afterEach(async () => {
  expect(bench.api.violations).toEqual([])
  await bench[Symbol.asyncDispose]()
})

/** Below those that the system gives to connections and to who asks for any: nobody takes it before sshd does. */
function freePort(): Promise<number> {
  const free = randomInt(18_000, 20_000)
  const probe = createServer()
  return new Promise((resolve) => {
    probe.once('error', () => resolve(freePort()))
    probe.listen(free, '127.0.0.1', () => probe.close(() => resolve(free)))
  })
}

function makeRepository(): void {
  const work = join(folder, 'work')
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=Test', '-c', 'user.email=test@example.test', ...args], { encoding: 'utf8' })
  git('init', '-q', '-b', 'main', work)
  // A script of the build that looks for what git was given.
  const look =
    'test ! -e /work/.capstan/git && ! grep -rqs "OPENSSH[ ]PRIVATE" /work /tmp && ! grep -aqs "OPENSSH[ ]PRIVATE" /proc/[0-9]*/environ /proc/[0-9]*/cmdline'
  const scripts = { build: `mkdir dist && cp index.html dist/ && ${look} && env` }
  writeFileSync(join(work, 'package.json'), JSON.stringify({ name: 'shop', version: '1.0.0', scripts }))
  writeFileSync(join(work, 'capacitor.config.json'), JSON.stringify({ webDir: 'dist' }))
  writeFileSync(join(work, 'index.html'), '<p>by ssh</p>')
  git('-C', work, 'add', '.')
  git('-C', work, 'commit', '-q', '-m', 'Open the shop')
  commit = git('-C', work, 'rev-parse', 'HEAD').trim()
  git('clone', '-q', '--bare', work, join(folder, 'shop.git'))
}

/** OpenSSH's own server, with one key that may do what git's shell allows and nothing else. */
async function startServer(): Promise<void> {
  if (userInfo().uid === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  const settings = [
    'ListenAddress 127.0.0.1',
    `Port ${port}`,
    `HostKey ${join(folder, 'host')}`,
    `AuthorizedKeysFile ${join(folder, 'deploy.pub')}`,
    'PidFile none',
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'PermitRootLogin prohibit-password',
    'ForceCommand git-shell -c "$SSH_ORIGINAL_COMMAND"',
  ]
  writeFileSync(join(folder, 'sshd_config'), `${settings.join('\n')}\n`)
  const path = execFileSync('sh', ['-c', 'PATH=$PATH:/usr/sbin command -v sshd'], { encoding: 'utf8' }).trim()
  server = spawn(path, ['-D', '-e', '-f', join(folder, 'sshd_config')], { stdio: ['ignore', 'ignore', 'pipe'] })
  const lines = createInterface({ input: server.stderr! })
  await new Promise<void>((resolve, reject) => {
    lines.on('line', (line) => {
      said.push(line)
      if (line.includes('Server listening')) resolve()
    })
    server.once('exit', () => reject(new Error(`sshd ended: ${said.join('\n')}`)))
  })
}

type Change = { key?: string; knownHosts?: string; ref?: string; url?: string; isAllowed?: boolean }

async function build(change: Change = {}): Promise<void> {
  const credential = { privateKey: read(change.key ?? 'deploy'), knownHosts: change.knownHosts ?? knownHosts }
  const openGitCredential: BrokerClient['openGitCredential'] = () => Promise.resolve({ kind: 'ssh', ...credential })
  const privateAllowed = change.isAllowed === false ? [] : [parseHostRule(`git.test:${port}`)!]
  bench = await openBench({
    hostPolicy: { allowed: [], privateAllowed, appHostsCount: true },
    resolve: () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]),
  })
  bench.world.broker = { ...bench.world.broker, openGitCredential }
  const url = change.url ?? `ssh://${userInfo().username}@git.test:${port}${join(folder, 'shop.git')}`
  // Variables of the customer that would have ssh or git do something else.
  const variables = { GIT_SSH_COMMAND: 'false', GIT_SSH: '/bin/false', SSH_AUTH_SOCK: '/tmp/agent' }
  const source = { kind: 'git', url, ref: change.ref ?? 'main', auth: 'ssh' } as const
  bench.api.spec = { platform: 'web', type: null, source, variables }
  await bench.run()
}

test('a commit is fetched by ssh with the key of its connection, which is gone before any command of the build', async () => {
  await build()
  expect(bench.api.finishes, `${bench.api.log}\n${said.join('\n')}`).toEqual([
    { status: 'succeeded', retryable: false },
  ])
  expect(bench.api.sources).toEqual([{ commitSha: commit, commitMessage: 'Open the shop' }])
  expect(bench.api.log).toContain(`Network: git.test:${port} allowed`)
  expect(bench.api.log).not.toContain('PRIVATE KEY')
  for (const line of read('deploy').split('\n').slice(1, -2)) expect(bench.api.log).not.toContain(line)
})

test.each<[string, () => Change, string]>([
  [
    'whose host has another key than the pinned one',
    () => ({ knownHosts: `[git.test]:${port} ${read('other.pub')}` }),
    'Host key verification failed',
  ],
  [
    'whose host is not among the pinned ones',
    () => ({ knownHosts: `elsewhere.test ${read('host.pub')}` }),
    'Host key verification failed',
  ],
  ['whose key the host refuses', () => ({ key: 'other' }), 'Permission denied (publickey)'],
  ['whose host leads into a private network', () => ({ isAllowed: false }), 'The way out does not lead to git.test'],
])('a source %s ends the build with a sentence', async (_name, change, sentence) => {
  await build(change())
  expect(bench.api.finishes).toMatchObject([{ status: 'failed', code: 'git-fetch-failed' }])
  expect(bench.api.finishes[0]?.message).toContain('its knownHosts are the keys of the host')
  expect(bench.api.log).toContain(sentence)
})

// D10, should the API ever let one through.
test.each([
  ['ssh://-oProxyCommand=touch$IFS/work/p/x', 'main'],
  ['ssh://git@git.test/--upload-pack=x', 'main'],
  ['ext::sh -c touch% /work/p', 'main'],
  ['file:///etc/passwd', 'main'],
  ['ssh://git.test/shop.git', '--upload-pack=touch /work/p'],
  ['ssh://git.test/shop.git', 'a..b'],
])('%s at %s is not handed to git', async (url, ref) => {
  await build({ url, ref })
  expect(bench.api.finishes).toMatchObject([{ status: 'failed', code: 'source-address-refused' }])
  expect(bench.api.log).not.toContain('fatal:')
})
