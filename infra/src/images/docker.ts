import { BuilderImageError } from './builder-image-error.js'
import { runCommand } from './run-command.js'

/** The processor the daemon builds for, in Docker's words (`amd64`, `arm64`); fails when no daemon answers. */
export async function readDaemonArchitecture(signal: AbortSignal): Promise<string> {
  try {
    const answer = await runCommand('docker', ['version', '--format', '{{.Server.Arch}}'], { signal })
    return answer.trim()
  } catch (error) {
    if (!(error instanceof BuilderImageError) || error.code !== 'command-failed') throw error
    const message = 'Docker does not answer: start the Docker daemon, or point DOCKER_HOST at one that runs.'
    throw new BuilderImageError('docker-unavailable', message, { cause: error })
  }
}

/** The id of an image, or nothing when the daemon does not have it. */
export async function findImage(reference: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    return (await runCommand('docker', ['image', 'inspect', '--format', '{{.Id}}', reference], { signal })).trim()
  } catch (error) {
    if (error instanceof BuilderImageError && /no such image/i.test(error.message)) return undefined
    throw error
  }
}

export type BuildImage = {
  tag: string
  parent: string
  /** Folder with the Dockerfile and all it copies. */
  context: string
  signal: AbortSignal
  onLine: (line: string) => void
}

/** Builds one Dockerfile. The tag appears only when the last step is done. */
export async function buildImage(image: BuildImage): Promise<void> {
  // The classic builder is in every engine; BuildKit needs a plugin that Debian's package does not bring.
  const build = ['docker', 'build', '--force-rm', '--build-arg', `PARENT=${image.parent}`, '--tag', image.tag]
  // Only our own definitions run here; the host's network spares them the bridge, its firewall and its name server.
  await runCommand('env', ['DOCKER_BUILDKIT=0', ...build, '--network', 'host', image.context], image)
}
