import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { freePort } from '../free-port.js'
import { installFromPypi, pythonEnvironment } from '../install-from-pypi.js'

const VERSION = '5.2.5'

export type MotoServer = AsyncDisposable & { url: string }

/**
 * A KMS that we did not write: moto in server mode, from PyPI, kept in the cache folder. Null, with the reason on
 * stderr, where Python, pip or PyPI are missing.
 */
export async function startMotoServer(): Promise<MotoServer | null> {
  const home = await mkdtemp(join(tmpdir(), 'capstan-moto-'))
  const env = pythonEnvironment(home)
  try {
    const packages = await installFromPypi(`moto-${VERSION}`, [`moto[server]==${VERSION}`], env)
    return await serve({ ...env, PYTHONPATH: packages }, home)
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
    process.stderr.write(
      `NOT TESTED: the AWS KMS driver against moto, which could not be installed or started: ${reason}\n`,
    )
    await rm(home, { recursive: true, force: true })
    return null
  }
}

async function serve(env: NodeJS.ProcessEnv, home: string): Promise<MotoServer> {
  const port = await freePort()
  const child = spawn('python3', ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)], { env, stdio: 'ignore' })
  const url = `http://127.0.0.1:${port}`
  await untilItAnswers(child, url)
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await once(child, 'close')
      await rm(home, { recursive: true, force: true })
    },
  }
}

async function untilItAnswers(child: ChildProcess, url: string): Promise<void> {
  for (let waited = 0; waited < 600; waited += 1) {
    if (child.exitCode !== null) throw new Error(`moto ended with code ${child.exitCode}`)
    const answer = await fetch(`${url}/moto-api/`).catch(() => null)
    if (answer?.ok) return
    await sleep(200)
  }
  child.kill('SIGKILL')
  throw new Error('moto did not answer within two minutes')
}
