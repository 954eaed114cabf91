import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { CreateBucketCommand } from '@aws-sdk/client-s3'

import { createS3Client } from '../src/objects/s3-client.js'
import { freePort } from './free-port.js'

const VERSION = 'v1.8.0'
const cache = fileURLToPath(new URL('../../.capstan/cache/', import.meta.url))
const run = promisify(execFile)

export type VersityServer = AsyncDisposable & {
  endpoint: string
  region: string
  bucket: string
  credentials: { accessKeyId: string; secretAccessKey: string }
}

/**
 * An S3 server that we did not write and that verifies signatures: versitygw on a folder, compiled from Go's module
 * registry and kept in the cache folder. Null, with the reason on stderr, where Go or the registry are missing.
 */
export async function startVersityServer(): Promise<VersityServer | null> {
  const home = await mkdtemp(join(tmpdir(), 'capstan-versity-'))
  try {
    return await serve(await install(home), home)
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
    process.stderr.write(`NOT TESTED: the S3 driver against versitygw, which could not be made or started: ${reason}\n`)
    await rm(home, { recursive: true, force: true })
    return null
  }
}

async function install(home: string): Promise<string> {
  const folder = join(cache, `versitygw-${VERSION}`)
  const program = join(folder, 'versitygw')
  if (existsSync(program)) return program
  await mkdir(cache, { recursive: true })
  const draft = await mkdtemp(`${folder}.`)
  const kept = ['PATH', 'GOPROXY', 'GOSUMDB', 'GOFLAGS', 'GONOSUMDB', 'HTTPS_PROXY', 'https_proxy', 'NO_PROXY']
  const env: NodeJS.ProcessEnv = { HOME: home, GOPATH: join(home, 'go'), GOBIN: draft, GOTOOLCHAIN: 'local' }
  for (const name of [...kept, 'no_proxy', 'SSL_CERT_FILE']) if (process.env[name]) env[name] = process.env[name]
  // Go's module folder is read-only by default, and then rm cannot remove it; one job, for the tests beside this one.
  env['GOFLAGS'] = `${env['GOFLAGS'] ?? ''} -modcacherw -p=1`.trim()
  try {
    const source = `github.com/versity/versitygw/cmd/versitygw@${VERSION}`
    await run('nice', ['-n', '10', 'go', 'install', '-trimpath', source], { env, timeout: 600_000 })
    await rename(draft, folder)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    if (!existsSync(folder)) throw error
  }
  return program
}

async function serve(program: string, home: string): Promise<VersityServer> {
  const [data, metadata] = [join(home, 'data'), join(home, 'metadata')]
  await Promise.all([mkdir(data), mkdir(metadata)])
  const credentials = { accessKeyId: 'tester', secretAccessKey: randomBytes(16).toString('hex') }
  const port = await freePort()
  const env = { ROOT_ACCESS_KEY: credentials.accessKeyId, ROOT_SECRET_KEY: credentials.secretAccessKey }
  const args = ['--port', `127.0.0.1:${port}`, '--quiet', 'posix', '--sidecar', metadata, data]
  const child = spawn(program, args, { env, stdio: 'ignore' })
  const [endpoint, region, bucket] = [`http://127.0.0.1:${port}`, 'us-east-1', 'capstan-test']
  const stop = async () => {
    if (child.exitCode === null) {
      child.kill('SIGKILL')
      await once(child, 'close')
    }
    await rm(home, { recursive: true, force: true })
  }
  try {
    await untilItAnswers(child, endpoint)
    const client = createS3Client({ endpoint, region, credentials })
    await client.send(new CreateBucketCommand({ Bucket: bucket }))
    client.destroy()
  } catch (error) {
    await stop()
    throw error
  }
  return { endpoint, region, bucket, credentials, [Symbol.asyncDispose]: stop }
}

async function untilItAnswers(child: ChildProcess, url: string): Promise<void> {
  for (let waited = 0; waited < 600; waited += 1) {
    if (child.exitCode !== null) throw new Error(`versitygw ended with code ${child.exitCode}`)
    if (await fetch(url).catch(() => null)) return
    await sleep(200)
  }
  throw new Error('versitygw did not answer within two minutes')
}
