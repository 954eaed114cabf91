import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { requireComponents } from '../components/require-components.js'
import type { Config } from '../config.js'
import type { DemoWorld } from '../demo/demo-world.js'
import { applyUpdate } from '../demo/steps/apply-update.js'
import { buildApp } from '../demo/steps/build-app.js'
import { createApp } from '../demo/steps/create-app.js'
import { exportAudit } from '../demo/steps/export-audit.js'
import { inspectContainers } from '../demo/steps/inspect-containers.js'
import { publishUpdate } from '../demo/steps/publish-update.js'
import { refuseForgeries } from '../demo/steps/refuse-forgeries.js'
import { uploadKeystore } from '../demo/steps/upload-keystore.js'
import { verifyApk } from '../demo/steps/verify-apk.js'
import { Failure } from '../failure.js'
import { readComplaints } from '../stack/read-complaints.js'
import { startStack } from '../stack/start-stack.js'
import { stopOnSignal } from '../stack/stop-on-signal.js'
import { Teardown } from '../stack/teardown.js'

const say = (line: string): void => console.log(line)
const seconds = (since: number): string => `${((Date.now() - since) / 1000).toFixed(1)} s`

const steps = [
  ['organization, token and app', createApp],
  ['keystore uploaded by the official CLI, stored encrypted', uploadKeystore],
  ['build started by the official CLI from a local folder', buildApp],
  ['built without a network but the egress proxy of the install, signed apart', inspectContainers],
  ['the APK carries the certificate of the keystore', verifyApk],
  ['web bundle signed with a key of the customer and published', publishUpdate],
  ['the app fetches, verifies and applies the update', applyUpdate],
  ['forged bundles are refused', refuseForgeries],
  ['the audit log holds up offline', exportAudit],
] as const

async function playSteps(world: DemoWorld): Promise<readonly string[]> {
  const summary: string[] = []
  for (const [index, [title, step]] of steps.entries()) {
    const started = Date.now()
    say(`${index + 1}. ${title}`)
    const proof = await step(world)
    say(`   ${proof} (${seconds(started)})`)
    summary.push(`${index + 1}  ${seconds(started).padStart(7)}  ${title}`)
  }
  return summary
}

/** The main job end to end on a stack of its own; with `--keep` the stack stays up afterwards, until Ctrl-C. */
export async function runDemo(config: Config, args: readonly string[]): Promise<number> {
  const started = Date.now()
  const unknown = args.find((arg) => arg !== '--keep')
  if (unknown !== undefined) throw new Failure(`Unknown argument "${unknown}". Use: npm run demo [-- --keep]`)
  const keep = args.includes('--keep')
  const teardown = new Teardown()
  const interruption = stopOnSignal(teardown, say)
  let logs: string | undefined
  try {
    await requireComponents(config, say)
    const folder = mkdtempSync(join(config.tempDir, 'capstan-demo-'))
    teardown.add(async () => rmSync(folder, { recursive: true, force: true }))
    const stack = await startStack({
      config,
      say,
      teardown,
      ports: 'free',
      ...(keep ? { devJsonFolder: config.dataDir } : {}),
    })
    logs = stack.folders.logs
    say(`stack ready at ${stack.apiUrl} (${seconds(started)})`)
    const summary = await playSteps({ config, say, stack, folder, made: {} })
    say(`\n${summary.join('\n')}\n   ${seconds(started).padStart(7)}  in all: every step proved`)
    if (keep) {
      say(
        `\nstill running: ${stack.apiUrl} (it has no console yet); credentials: ${join(config.dataDir, 'dev.json')}; Ctrl-C stops everything`,
      )
      await interruption.asked
    }
  } catch (error) {
    if (interruption.wasAsked()) return 130
    // The logs go with the stack: what they say of the failure would be gone.
    if (logs !== undefined) for (const line of readComplaints(logs)) console.error(line)
    throw error
  } finally {
    await teardown.run()
    interruption.forget()
  }
  return 0
}
