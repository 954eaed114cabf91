import { readFileSync } from 'node:fs'
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

/** Starts the app in a fresh process, lets it look for an update, and starts it again. */
export async function runDevice(world: DemoWorld, serverUrl: string): Promise<DeviceReport> {
  const script = fileURLToPath(new URL('device-main.js', import.meta.url))
  const options = {
    ...need(world, 'device'),
    serverUrl,
    appId: need(world, 'appId'),
    channel: 'production',
    profile: 'compat',
    publicKey: readFileSync(need(world, 'keys').publicFile, 'utf8'),
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
