import { join } from 'node:path'
import { need, prove, type DemoWorld } from '../demo-world.js'
import { runDevice } from '../run-device.js'
import { unpackZip } from '../unpack-archive.js'

/** Step 7: the app as it was built in step 4 looks for an update, in a process of its own, and shows the new page. */
export async function applyUpdate(world: DemoWorld): Promise<string> {
  const builtInDirectory = join(world.folder, 'device', 'built-in')
  await unpackZip(world, need(world, 'apkFile'), 'assets/public', builtInDirectory)
  Object.assign(world.made, { builtInDirectory })
  const { before, outcome, after } = await runDevice(world, world.stack.apiUrl, 'compat')
  prove(before.bundleId === null, 'the app first runs the bundle of its APK')
  prove(outcome === 'staged', `the update is fetched, verified and staged (${outcome})`)
  const version = need(world, 'publishedVersion')
  prove(after.version === version && before.version !== version, `the page is ${version} and was ${before.version}`)
  return `the app's page was ${before.version} and is ${after.version}`
}
