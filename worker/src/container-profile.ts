import { readFileSync } from 'node:fs'
import type Docker from 'dockerode'
import { toolDir } from './build-run.js'
import type { ContainerSpec } from './container-engine.js'
import { proxyFilesScript } from './egress/proxy-settings.js'

/** The unprivileged account of the builder image; no other user ever runs in a container. */
const builderUid = 10_001
export const workDir = '/work'
export const secretsDir = '/secrets'

const mebibyte = 1024 * 1024
const tmpBytes = 1024 * mebibyte
const secretsBytes = 8 * mebibyte
/** Enough for Gradle and bundlers, and below the ceiling that container hosts commonly have themselves. */
const openFiles = 4_096

/** What a program may ask of the kernel, see `seccomp.json`; the engine takes the rules themselves, not a path. */
const seccompProfile = JSON.stringify(JSON.parse(readFileSync(new URL('../seccomp.json', import.meta.url), 'utf8')))

/** What a build finds in its folder; made by the container itself, for a command of its own costs as much as a phase. */
const makeFolders = `mkdir -p ${workDir}/home ${toolDir}\n${proxyFilesScript}`

type HostConfig = Docker.HostConfig & { CgroupnsMode: 'private' }
type ContainerOptions = Omit<Docker.ContainerCreateOptions, 'HostConfig'> & { HostConfig: HostConfig }

/**
 * The one place that decides what a container may do. It takes sizes, labels and ids, never an option object, so nothing
 * a customer sends can reach the daemon. Work files live on tmpfs: a hard quota, and nothing stays on the host's disk.
 */
export function containerOptions(spec: ContainerSpec): ContainerOptions {
  const { limits } = spec
  return {
    name: spec.name,
    Image: spec.imageId,
    User: `${builderUid}:${builderUid}`,
    Entrypoint: [],
    Cmd: spec.kind === 'build' ? ['sh', '-c', `set -e\n${makeFolders}\nexec sleep infinity`] : ['sleep', 'infinity'],
    WorkingDir: workDir,
    Labels: { ...spec.labels },
    Hostname: 'build',
    AttachStdout: false,
    AttachStderr: false,
    HostConfig: {
      Init: true,
      Privileged: false,
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      CapAdd: [],
      SecurityOpt: ['no-new-privileges:true', `seccomp=${seccompProfile}`],
      ...(spec.runtime !== undefined && { Runtime: spec.runtime }),
      Binds: [],
      Devices: [],
      Tmpfs: tmpfsMounts(spec),
      // Pages of tmpfs are charged to the container: the disk is a part of the memory.
      Memory: limits.memoryBytes,
      MemorySwap: limits.memoryBytes,
      NanoCpus: Math.round(limits.cpus * 1e9),
      PidsLimit: limits.pids,
      Ulimits: [
        { Name: 'nofile', Soft: openFiles, Hard: openFiles },
        { Name: 'core', Soft: 0, Hard: 0 },
      ],
      IpcMode: 'private',
      CgroupnsMode: 'private',
      PidMode: '',
      UTSMode: '',
      // The way out during the install is a pipe to the worker's proxy: no interface, no resolver, no neighbour.
      NetworkMode: 'none',
      LogConfig: { Type: 'none', Config: {} },
      AutoRemove: false,
      RestartPolicy: { Name: 'no' },
    },
  }
}

function tmpfsMounts(spec: ContainerSpec): Record<string, string> {
  const owner = `uid=${builderUid},gid=${builderUid}`
  const mounts: Record<string, string> = {
    [workDir]: `rw,exec,nosuid,nodev,mode=0700,${owner},size=${spec.limits.diskBytes}`,
    '/tmp': `rw,exec,nosuid,nodev,mode=1777,size=${Math.min(tmpBytes, spec.limits.diskBytes)}`,
  }
  if (spec.kind === 'signer') {
    mounts[secretsDir] = `rw,noexec,nosuid,nodev,mode=0700,${owner},size=${secretsBytes}`
  }
  return mounts
}
