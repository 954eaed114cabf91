import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../failure.js'
import { runTool } from '../run-tool.js'
import { type DemoWorld, type KeyPair, need } from './demo-world.js'

export async function runCapstan(world: DemoWorld, args: readonly string[]): Promise<{ code: number; said: string }> {
  const capstan = join(world.config.checkout, 'sdk', 'bin', 'capstan.js')
  const env = { ...world.config.baseEnv, HOME: world.folder }
  const { code, stdout, stderr } = await runTool(process.execPath, [capstan, ...args], { env, cwd: world.folder })
  return { code, said: `${stdout}${stderr}`.trim() }
}

/** A call that has to work, with the API's address and token. */
export async function callCapstan(world: DemoWorld, args: readonly string[]): Promise<string> {
  const tokenFile = join(world.folder, 'token')
  writeFileSync(tokenFile, need(world, 'token'), { mode: 0o600 })
  const server = ['--server', world.stack.apiUrl, '--token-file', tokenFile]
  const { code, said } = await runCapstan(world, [...args, '--app', need(world, 'appId'), ...server])
  if (code !== 0) throw new Failure(`\`capstan ${args[0] ?? ''}\` ended with exit code ${code}:\n${said}`)
  return said
}

/** An RSA key pair made on the customer's machine. */
export async function makeKeyPair(world: DemoWorld, name: string): Promise<KeyPair> {
  const privateFile = join(world.folder, `${name}.private.pem`)
  const publicFile = join(world.folder, `${name}.public.pem`)
  const { code, said } = await runCapstan(world, ['keygen', '--private', privateFile, '--public', publicFile])
  if (code !== 0) throw new Failure(`\`capstan keygen\` ended with exit code ${code}:\n${said}`)
  return { privateFile, publicFile }
}
