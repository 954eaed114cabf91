import { join } from 'node:path'
import { Failure } from '../failure.js'
import { runTool } from '../run-tool.js'
import type { DemoWorld, KeyPair } from './demo-world.js'

export async function runCapstan(world: DemoWorld, args: readonly string[]): Promise<{ code: number; said: string }> {
  const capstan = join(world.config.checkout, 'sdk', 'bin', 'capstan.js')
  const env = { ...world.config.baseEnv, HOME: world.folder }
  const { code, stdout, stderr } = await runTool(process.execPath, [capstan, ...args], { env, cwd: world.folder })
  return { code, said: `${stdout}${stderr}`.trim() }
}

/** An RSA key pair made on the customer's machine. */
export async function makeKeyPair(world: DemoWorld, name: string): Promise<KeyPair> {
  const privateFile = join(world.folder, `${name}.private.pem`)
  const publicFile = join(world.folder, `${name}.public.pem`)
  const { code, said } = await runCapstan(world, ['keygen', '--private-key', privateFile, '--public-key', publicFile])
  if (code !== 0) throw new Failure(`\`capstan keygen\` ended with exit code ${code}:\n${said}`)
  return { privateFile, publicFile }
}
