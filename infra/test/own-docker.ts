import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Config } from '../src/config.js'
import { dockerProblem } from '../src/stack/ask-docker.js'
import { SupervisedProcess } from '../src/stack/supervised-process.js'

const shell = promisify(execFile)

export interface OwnDocker {
  readonly dockerHost: string
  /** Ends without warning at `kill` and is started again, as a machine's supervisor would. */
  readonly daemon: SupervisedProcess
  /** Copies the image, or of a whole web image the part that a build without native code uses; answers its id. */
  readonly takeImage: (image: string, part: 'whole' | 'web') => Promise<string>
  readonly stop: () => Promise<void>
}

/** What nothing of a small web build reads. */
const unneeded = [
  'usr/share',
  'usr/lib/python3*',
  'usr/lib/jvm',
  'usr/lib/android-sdk',
  'usr/lib/git-core',
  'usr/local/bin/bun',
  'var',
]

const unwatched = { onCrash: () => undefined, onStarted: () => undefined, onGivenUp: () => undefined }

/** containerd as a process of its own, as distributions run it: it outlives a dockerd that is killed. */
function containerd(config: Config, folder: string): SupervisedProcess {
  const file = join(folder, 'containerd.toml')
  const lines = [
    'version = 2',
    'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    `root = "${join(folder, 'containerd')}"`,
    `state = "${join(folder, 'state')}"`,
    '[grpc]',
    `address = "${join(folder, 'containerd.sock')}"`,
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  return new SupervisedProcess(
    {
      name: 'containerd',
      command: 'containerd',
      args: ['--config', file],
      env: config.baseEnv,
      cwd: folder,
      logFile: join(folder, 'containerd.log'),
      isReady: async () => existsSync(join(folder, 'containerd.sock')),
    },
    unwatched,
  )
}

/** A daemon that nobody else on this machine uses, so that it may be killed. */
export async function startOwnDocker(config: Config): Promise<OwnDocker> {
  const folder = mkdtempSync(join(tmpdir(), 'dockerd-'))
  const dockerHost = `unix://${folder}/docker.sock`
  const place = ['--containerd', join(folder, 'containerd.sock'), '--pidfile', join(folder, 'pid')]
  const folders = ['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec')]
  const shims = containerd(config, folder)
  await shims.start()
  const daemon = new SupervisedProcess(
    {
      name: 'dockerd',
      command: 'dockerd',
      args: ['--host', dockerHost, ...place, ...folders, '--iptables=false', '--ip6tables=false'],
      env: config.baseEnv,
      cwd: folder,
      logFile: join(folder, 'log'),
      isReady: async () => (await dockerProblem(dockerHost)) === undefined,
    },
    unwatched,
  )
  await daemon.start()
  return {
    dockerHost,
    daemon,
    takeImage: async (image, part) => {
      const settings = '-c "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"'
      const tar = `tar -c -C / --one-file-system ${unneeded.map((path) => `--exclude='./${path}'`).join(' ')} .`
      const copy =
        part === 'whole'
          ? `docker save ${image} | docker -H ${dockerHost} load`
          : `docker run --rm --network none -u 0 ${image} ${tar} | docker -H ${dockerHost} import ${settings} -`
      const { stdout } = await shell('sh', ['-c', copy], { env: config.baseEnv })
      return part === 'whole' ? image : stdout.trim()
    },
    stop: async () => {
      await daemon.stop(20_000)
      await shims.stop()
      // A daemon that was killed leaves mounts behind that no later one undoes.
      await shell('sh', ['-c', `grep -o ' ${folder}/[^ ]*' /proc/mounts | sort -r | xargs -r umount -l`])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
