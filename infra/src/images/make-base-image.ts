import { join } from 'node:path'
import { BuilderImageError } from './builder-image-error.js'
import type { ImageDefinition } from './read-definition.js'
import { reportStep, type Log } from './report-step.js'
import { runCommand } from './run-command.js'

const answerWithinMs = 10_000

/** Makes the base image: the pinned one where a container registry answers quickly, else one from Debian's mirror. */
export async function makeBaseImage(definition: ImageDefinition, log: Log, signal: AbortSignal): Promise<void> {
  if (await pullBase(definition, log, signal)) return
  await reportStep(log, "base system from Debian's mirror", async (onLine) => {
    const id = await importBase(definition, signal, onLine)
    await runCommand('docker', ['tag', id, definition.base.tag], { signal })
  })
}

async function pullBase(definition: ImageDefinition, log: Log, signal: AbortSignal): Promise<boolean> {
  const { registryImage, tag } = definition.base
  const slow = new AbortController()
  const timer = setTimeout(() => slow.abort(), answerWithinMs)
  try {
    log(`builder images: asking the container registry for ${registryImage.split('@')[0]}`)
    await runCommand('docker', ['pull', registryImage], {
      signal: AbortSignal.any([signal, slow.signal]),
      onLine: (line) => {
        // Docker says this once the registry has answered; from then on a slow download is still worth it.
        if (line.includes('Pulling from')) clearTimeout(timer)
      },
    })
    await runCommand('docker', ['tag', registryImage, tag], { signal })
    return true
  } catch (error) {
    if (signal.aborted || !(error instanceof BuilderImageError)) throw error
    log('builder images: no container registry answers; making the base image with debootstrap')
    return false
  } finally {
    clearTimeout(timer)
  }
}

/** Streams the new root file system into the daemon, so nothing of it is ever a file on this machine. */
async function importBase(
  definition: ImageDefinition,
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<string> {
  const { suite } = definition.base
  const script = join(definition.folder, 'base/debootstrap.sh')
  const isolated = ['--mount', '--pid', '--fork', '--kill-child', 'sh', script, suite]
  await requireDebootstrap(signal)
  let id = ''
  const change = ['--change', 'CMD ["bash"]', '--change', 'LABEL capstan.image=base']
  try {
    await runCommand('unshare', isolated, {
      signal,
      // unshare holds back every gentler signal while it waits; killed, it takes its whole tree with it.
      killSignal: 'SIGKILL',
      onLine,
      consume: async (input) => {
        id = (await runCommand('docker', ['import', ...change, '-'], { input, signal })).trim()
      },
    })
  } catch (error) {
    // The daemon accepts a tar stream that ends early: such an image must not stay.
    if (id !== '') await runCommand('docker', ['image', 'rm', id]).catch(() => undefined)
    throw error
  }
  return id
}

async function requireDebootstrap(signal: AbortSignal): Promise<void> {
  const root = process.getuid?.() === 0
  const message = root
    ? 'No container registry answers and debootstrap is not installed: run `apt-get install debootstrap`.'
    : 'No container registry answers, and only root can make a base image with debootstrap: run this as root once.'
  try {
    if (root) return void (await runCommand('debootstrap', ['--version'], { signal }))
  } catch (cause) {
    if (signal.aborted) throw cause
    throw new BuilderImageError('base-image-unavailable', message, { cause })
  }
  throw new BuilderImageError('base-image-unavailable', message)
}
