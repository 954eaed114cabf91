import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const cache = fileURLToPath(new URL('../../.capstan/cache/', import.meta.url))
const run = promisify(execFile)
const passedOn = [
  'HTTPS_PROXY',
  'https_proxy',
  'NO_PROXY',
  'no_proxy',
  'SSL_CERT_FILE',
  'PIP_INDEX_URL',
  'PIP_CERT',
  'PIP_CONFIG_FILE',
]

/** What Python needs and no more; `home` is its own. */
export function pythonEnvironment(home: string): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {
    PATH: process.env.PATH ?? '',
    HOME: home,
    TMPDIR: home,
    PYTHONDONTWRITEBYTECODE: '1',
  }
  for (const name of passedOn) if (process.env[name]) env[name] = process.env[name]
  return env
}

/** Puts packages into a folder of the cache, once for all tests; answers that folder. */
export async function installFromPypi(
  name: string,
  wanted: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<string> {
  const folder = join(cache, name)
  if (existsSync(folder)) return folder
  await mkdir(cache, { recursive: true })
  const draft = await mkdtemp(`${folder}.`)
  const options = ['--quiet', '--disable-pip-version-check', '--no-cache-dir', '--no-input', '--retries', '1']
  try {
    await run('python3', ['-m', 'pip', 'install', ...options, '--target', draft, ...wanted], { env, timeout: 240_000 })
    await rename(draft, folder)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    if (!existsSync(folder)) throw error
  }
  return folder
}
