import { spawn } from 'node:child_process'
import { Failure } from '../failure.js'
import type { DemoWorld } from './demo-world.js'

/** Runs a shell script in a throw-away container without network: bytes in on standard input, bytes out on standard output. */
export async function runInBuilder(world: DemoWorld, script: string, input: Uint8Array | string = ''): Promise<Buffer> {
  const { config, stack } = world
  const isolation = ['--network', 'none', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--read-only']
  const place = [
    '--tmpfs',
    '/tmp:rw,exec,mode=1777',
    '--user',
    '10001:10001',
    '--workdir',
    '/tmp',
    '--env',
    'HOME=/tmp',
  ]
  const label = ['--label', `capstan=${stack.stackId}`]
  const args = ['run', '--rm', '--interactive', ...isolation, ...place, ...label, '--entrypoint', '/bin/sh']
  const child = spawn('docker', [...args, stack.builderImage, '-euc', script], {
    env: { ...config.baseEnv, DOCKER_HOST: stack.dockerHost, HOME: world.folder },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const output: Buffer[] = []
  let complaint = ''
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text
  })
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exitCode) => resolve(exitCode ?? 1))
  })
  if (code !== 0) throw new Failure(`A step in the builder image ended with exit code ${code}:\n${complaint.trim()}`)
  return Buffer.concat(output)
}
