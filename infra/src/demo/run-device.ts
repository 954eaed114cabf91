import { createPrivateKey, createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Failure } from '../failure.js'
import { runTool } from '../run-tool.js'
import { need, type DemoWorld } from './demo-world.js'

export interface PageSeen {
  /** Null for the bundle that came with the app. */
  readonly bundleId: string | null
  readonly version: string
}

export interface DeviceReport {
  readonly before: PageSeen
  /** What the update check came to: a status, or the code of a refusal. */
  readonly outcome: string
  readonly after: PageSeen
}

/**
 * `compat`: the customer's signature over the bundle, as the official plugins check it. `release`: the customer's
 * statement about the release and the platform's about the channel. Each is an app of its own on the device.
 */
export type Profile = 'compat' | 'release'

/** The public half of the key with which the platform signs channel statements; an app has it compiled in. */
function platformKey(world: DemoWorld): string {
  const file = join(world.stack.folders.secrets, 'channel-statement-key')
  const key = createPublicKey(createPrivateKey(readFileSync(file)))
  return key.export({ type: 'spki', format: 'pem' }).toString()
}

/** Starts the app in a fresh process, lets it look for an update, and starts it again. */
export async function runDevice(world: DemoWorld, serverUrl: string, profile: Profile): Promise<DeviceReport> {
  const script = fileURLToPath(new URL('device-main.js', import.meta.url))
  const options = {
    builtInDirectory: need(world, 'builtInDirectory'),
    directory: join(world.folder, 'device', profile),
    serverUrl,
    appId: need(world, 'appId'),
    channel: 'production',
    profile,
    publicKey: readFileSync(need(world, 'keys').publicFile, 'utf8'),
    ...(profile === 'release' ? { platformKey: platformKey(world) } : {}),
    platform: 'android',
    appVersionCode: '1',
    appVersionName: '1.4.0',
  }
  const { code, stdout, stderr } = await runTool(process.execPath, [script], {
    env: world.config.baseEnv,
    input: JSON.stringify(options),
  })
  if (code !== 0) throw new Failure(`The app ended with exit code ${code}:\n${stderr.trim()}`)
  return JSON.parse(stdout) as DeviceReport
}
