import Docker from 'dockerode'
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ContainerSpec } from '../src/container-engine.js'
import { createDockerEngine } from '../src/docker-engine.js'
import { builderImage, dockerHost } from './build-bench.js'

const mebibyte = 1024 * 1024
const labels = { capstan: `test-${randomUUID()}`, 'capstan.worker': 'profile' }
const limits = { memoryBytes: 256 * mebibyte, cpus: 1.5, pids: 64, diskBytes: 48 * mebibyte }
const engine = createDockerEngine(dockerHost)
const docker = new Docker()
const ids = { build: '', signer: '' }
let networkId: string

const start = async (spec: Partial<ContainerSpec> & Pick<ContainerSpec, 'kind'>) =>
  engine.startContainer({
    name: `capstan-${randomUUID()}`,
    imageId: await engine.resolveImage(builderImage()),
    labels,
    limits,
    ...spec,
  })

async function inside(kind: keyof typeof ids, script: string): Promise<{ exitCode: number; printed: string }> {
  let printed = ''
  const onOutput = (_: string, chunk: Buffer) => {
    printed += chunk.toString('utf8')
  }
  const exitCode = await engine.exec(ids[kind], { argv: ['sh', '-c', script], onOutput }, AbortSignal.timeout(20_000))
  return { exitCode, printed: printed.trim() }
}

beforeAll(async () => {
  networkId = await engine.createNetwork(`capstan-${randomUUID()}`, labels)
  ids.build = await start({ kind: 'build', networkId })
  ids.signer = await start({ kind: 'signer', networkId })
})

afterAll(async () => {
  await engine.removeLabelled(labels)
})

describe.each(['build', 'signer'] as const)('a %s container', (kind) => {
  test('is described by the engine as the profile says', async () => {
    const { Config, HostConfig, Image, Mounts, NetworkSettings } = await docker.getContainer(ids[kind]).inspect()
    expect(Image).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(Config).toMatchObject({ User: '10001:10001', Labels: labels, OpenStdin: false, Tty: false })
    expect(HostConfig).toMatchObject({
      Privileged: false,
      ReadonlyRootfs: true,
      Init: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges:true'],
      PidsLimit: limits.pids,
      Memory: limits.memoryBytes,
      MemorySwap: limits.memoryBytes,
      NanoCpus: 1.5e9,
      IpcMode: 'private',
      PidMode: '',
      UTSMode: '',
      CgroupnsMode: 'private',
      AutoRemove: false,
      LogConfig: { Type: 'none' },
    })
    expect([HostConfig.Binds ?? [], HostConfig.Devices ?? [], HostConfig.CapAdd ?? [], Mounts]).toEqual([
      [],
      [],
      [],
      [],
    ])
    expect(HostConfig.Ulimits).toContainEqual({ Name: 'core', Hard: 0, Soft: 0 })
    expect(Object.keys(NetworkSettings.Networks)).toHaveLength(1)
    expect(HostConfig.NetworkMode).toBe(kind === 'signer' ? 'none' : networkId)
  })

  test('has no capability, no way to gain one and the system call filter', async () => {
    const { printed } = await inside(kind, 'grep -E "^(Cap|NoNewPrivs|Seccomp:|Uid|Gid)" /proc/self/status')
    expect(printed).toMatch(/^CapEff:\s+0{16}$/m)
    expect(printed).toMatch(/^CapPrm:\s+0{16}$/m)
    expect(printed).toMatch(/^CapBnd:\s+0{16}$/m)
    expect(printed).toMatch(/^NoNewPrivs:\s+1$/m)
    expect(printed).toMatch(/^Seccomp:\s+2$/m)
    expect(printed).toMatch(/^Uid:\s+10001\s+10001\s+10001\s+10001$/m)
  })

  test.each([
    ['write to the image', 'touch /usr/bin/x'],
    ['write to the home folder of the image', 'touch /home/builder/x'],
    ['make a user namespace', 'unshare -U true'],
    ['mount', 'mount -t tmpfs none /tmp'],
    ['see the engine', 'test -e /var/run/docker.sock -o -e /run/docker.sock'],
    ['see a disk of the host', 'ls /dev/sd* /dev/vd* /dev/nvme*'],
    ['read the kernel memory', 'cat /proc/kcore'],
    ['dump core', 'test "$(ulimit -c)" != 0'],
    ['fill more than its disk', 'dd if=/dev/zero of=/work/big bs=1M count=64 status=none'],
  ])('cannot %s', async (_, script) => {
    const { exitCode } = await inside(kind, script)
    expect(exitCode).not.toBe(0)
    await inside(kind, 'rm -f /work/big')
  })

  test('can use its work and temporary folders, also for programs', async () => {
    for (const folder of ['/work', '/tmp']) {
      const script = `printf '#!/bin/sh\\necho ran' > ${folder}/p && chmod +x ${folder}/p && ${folder}/p && rm ${folder}/p`
      expect(await inside(kind, script)).toEqual({ exitCode: 0, printed: 'ran' })
    }
  })

  test('cannot start more processes than its limit, and the worker stays well', async () => {
    const { exitCode } = await inside(kind, 'for n in $(seq 100); do sleep 2 & done; wait')
    expect(exitCode).not.toBe(0)
    await expect.poll(async () => (await inside(kind, 'echo well')).printed, { timeout: 10_000 }).toBe('well')
  })
})

test('a signer has no network, and folders for secrets that run nothing', async () => {
  expect((await inside('signer', 'tail -n +3 /proc/net/dev | cut -d: -f1')).printed).toBe('lo')
  expect((await inside('signer', 'getent hosts localhost.localdomain.example; ip route 2>/dev/null')).printed).toBe('')
  expect((await inside('signer', 'stat -c "%a %u" /secrets')).printed).toBe('700 10001')
  const script = `printf '#!/bin/sh\\necho ran' > /secrets/p && chmod +x /secrets/p && /secrets/p`
  expect((await inside('signer', script)).printed).toMatch(/Permission denied/)
  expect((await inside('signer', 'grep " /secrets " /proc/mounts')).printed).toMatch(/^tmpfs .*noexec.*size=8192k/)
})

test('a build container has no place for secrets that it could write to', async () => {
  expect((await inside('build', 'touch /secrets/x')).exitCode).not.toBe(0)
})

test('a build container reaches no neighbour on its network', async () => {
  const neighbour = await start({ kind: 'build', networkId })
  const { NetworkSettings } = await docker.getContainer(neighbour).inspect()
  const address = Object.values(NetworkSettings.Networks)
    .map(({ IPAddress }) => IPAddress)
    .join()
  let isListening = ''
  const server = `require('net').createServer(s=>s.end('hello')).listen(8000,'0.0.0.0',()=>console.log('listening'))`
  const stop = new AbortController()
  const onOutput = (_: string, chunk: Buffer) => {
    isListening += chunk.toString('utf8')
  }
  const listening = engine
    .exec(neighbour, { argv: ['node', '-e', server], onOutput }, stop.signal)
    .catch(() => undefined)
  await expect.poll(() => isListening, { timeout: 10_000 }).toContain('listening')
  const call = (host: string) =>
    `node -e "require('net').connect({host:'${host}',port:8000,timeout:1500}).on('data',()=>process.exit(0)).on('timeout',()=>process.exit(1)).on('error',()=>process.exit(1))"`
  let exitCode = await engine.exec(
    neighbour,
    { argv: ['sh', '-c', call('127.0.0.1')], onOutput },
    AbortSignal.timeout(10_000),
  )
  expect(exitCode).toBe(0)
  exitCode = (await inside('build', call(address))).exitCode
  expect(exitCode).not.toBe(0)
  stop.abort()
  await listening
})
