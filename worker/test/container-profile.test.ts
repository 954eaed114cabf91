import Docker from 'dockerode'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ContainerSpec } from '../src/container-engine.js'
import { createDockerEngine } from '../src/docker-engine.js'
import { builderImage, dockerHost } from './build-bench.js'

const seccompFile = new URL('../seccomp.json', import.meta.url)
const mebibyte = 1024 * 1024
const labels = { capstan: `test-${randomUUID()}`, 'capstan.worker': 'profile' }
const limits = { memoryBytes: 256 * mebibyte, cpus: 1.5, pids: 64, diskBytes: 48 * mebibyte }
const engine = createDockerEngine(dockerHost)
const docker = new Docker()
const ids = { build: '', signer: '' }

const start = async (spec: Partial<ContainerSpec> & Pick<ContainerSpec, 'kind'>) =>
  engine.startContainer({
    name: `capstan-${randomUUID()}`,
    imageId: (await engine.resolveImage(builderImage())).id,
    labels,
    limits,
    ...spec,
  })

async function inside(kind: keyof typeof ids, script: string): Promise<{ exitCode: number; printed: string }> {
  let printed = ''
  const onOutput = (_: string, chunk: Buffer) => {
    printed += chunk.toString('utf8')
  }
  const exitCode = await engine.exec(ids[kind], { argv: ['sh', '-c', script], onOutput }, AbortSignal.timeout(120_000))
  return { exitCode, printed: printed.trim() }
}

beforeAll(async () => {
  ids.build = await start({ kind: 'build' })
  ids.signer = await start({ kind: 'signer' })
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
    const [noNewPrivileges, filter = '', ...others] = HostConfig.SecurityOpt ?? []
    expect([noNewPrivileges, others]).toEqual(['no-new-privileges:true', []])
    expect(filter).toMatch(/^seccomp=/)
    expect(JSON.parse(filter.slice('seccomp='.length))).toEqual(JSON.parse(readFileSync(seccompFile, 'utf8')))
    expect([HostConfig.Binds ?? [], HostConfig.Devices ?? [], HostConfig.CapAdd ?? [], Mounts]).toEqual([
      [],
      [],
      [],
      [],
    ])
    expect(HostConfig.Ulimits).toContainEqual({ Name: 'core', Hard: 0, Soft: 0 })
    expect(Object.keys(NetworkSettings.Networks)).toEqual(['none'])
    expect(HostConfig.NetworkMode).toBe('none')
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

  test.runIf(process.arch === 'x64')('may not ask the kernel for what no build needs', async () => {
    const calls: Record<string, readonly number[]> = {
      io_uring_setup: [425, 1, 0],
      userfaultfd: [323, 1],
      bpf: [321, 0, 0, 0],
      perf_event_open: [298, 0, 0, 0, 0, 0],
      add_key: [248, 0, 0, 0, 0, 0],
      request_key: [249, 0, 0, 0, 0],
      keyctl: [250, 0, -3, 0],
      ptrace: [101, 0, 0, 0, 0],
      process_vm_readv: [310, 1, 0, 0, 0, 0, 0],
      pidfd_getfd: [438, 0, 0, 0],
      kcmp: [312, 1, 1, 0, 0, 0],
      mount: [165, 0, 0, 0, 0, 0],
      umount2: [166, 0, 0],
      pivot_root: [155, 0, 0],
      fsopen: [430, 0, 0],
      open_tree: [428, 0, 0, 0],
      unshare_nothing: [272, 0],
      unshare_user: [272, 0x10_00_00_00],
      setns: [308, 0, 0],
      clone_user: [56, 0x10_00_00_11, 0, 0, 0, 0],
      clone_time: [56, 0x91, 0, 0, 0, 0],
      name_to_handle_at: [303, 0, 0, 0, 0, 0],
      open_by_handle_at: [304, 0, 0, 0],
      init_module: [175, 0, 0, 0],
      kexec_load: [246, 0, 0, 0, 0],
      modify_ldt: [154, 0, 0, 0],
      personality_of_32_bits: [135, 8],
      socket_alg: [41, 38, 5, 0],
      socket_vsock: [41, 40, 1, 0],
      socket_packet: [41, 17, 3, 0],
    }
    const perl = Object.entries(calls)
      .map(([name, numbers]) => `$!=0; syscall(${numbers.join(',')}); print "${name} ", $!+0, "\n";`)
      .join(' ')
    const { printed } = await inside(kind, `perl -e '${perl}'`)
    expect(printed.split('\n')).toEqual(Object.keys(calls).map((name) => `${name} 1`))
    const clone3 = `perl -e '$!=0; syscall(435, 0, 0); print $!+0'`
    expect((await inside(kind, clone3)).printed).toBe('38')
  })

  test.runIf(process.arch === 'x64')('may ask it for what every program needs', async () => {
    const perl = ['1, 1, 0', '2, 1, 0', '10, 1, 0', '16, 3, 0'].map(
      (socket) => `print syscall(41, ${socket}) > 0 ? 1 : 0;`,
    )
    const more =
      'print syscall(39) > 0 ? 1 : 0; my $child = fork; exit 0 if !$child; waitpid $child, 0; print $? == 0 ? 1 : 0;'
    expect((await inside(kind, `perl -e '${perl.join(' ')} ${more}'`)).printed).toBe('111111')
  })

  test('has no network but its own loopback, no route and no resolver that answers', async () => {
    expect((await inside(kind, 'tail -n +3 /proc/net/dev | cut -d: -f1')).printed.trim()).toBe('lo')
    expect((await inside(kind, 'tail -n +2 /proc/net/route')).printed).toBe('')
    expect((await inside(kind, 'getent hosts registry.npmjs.org')).exitCode).not.toBe(0)
    const call = (host: string) =>
      `node -e "require('net').connect({host:'${host}',port:80,timeout:3000}).on('connect',()=>process.exit(0)).on('timeout',()=>process.exit(3)).on('error',e=>{console.log(e.code);process.exit(1)})"`
    for (const host of ['169.254.169.254', '172.17.0.1', '8.8.8.8']) {
      expect(await inside(kind, call(host))).toEqual({ exitCode: 1, printed: 'ENETUNREACH' })
    }
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
    await expect.poll(async () => (await inside(kind, 'echo well')).printed).toBe('well')
  })
})

test('a signer has folders for secrets that run nothing', async () => {
  expect((await inside('signer', 'stat -c "%a %u" /secrets')).printed).toBe('700 10001')
  const script = `printf '#!/bin/sh\\necho ran' > /secrets/p && chmod +x /secrets/p && /secrets/p`
  expect((await inside('signer', script)).printed).toMatch(/Permission denied/)
  expect((await inside('signer', 'grep " /secrets " /proc/mounts')).printed).toMatch(/^tmpfs .*noexec.*size=8192k/)
})

test('a build container has no place for secrets that it could write to', async () => {
  expect((await inside('build', 'touch /secrets/x')).exitCode).not.toBe(0)
})
