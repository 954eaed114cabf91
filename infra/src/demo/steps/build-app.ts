import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { callOfficialCli } from '../call-official-cli.js'
import { need, prove, type DemoWorld } from '../demo-world.js'
import { watchContainers } from '../watch-containers.js'

export const sampleApp = (world: DemoWorld): string => join(world.config.checkout, 'infra', 'dev', 'sample-app')

/** Shows the log as it comes, each line marked as the CLI's. */
export function echoLines(world: DemoWorld): (text: string) => void {
  let rest = ''
  return (text) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.trim()) world.say(`     | ${line.trimEnd()}`)
  }
}

/** Step 3: the official CLI uploads the local folder, starts a build and follows its log to the end. */
export async function buildApp(world: DemoWorld): Promise<string> {
  const apkFile = join(world.folder, 'tour.apk')
  const watch = watchContainers(world.stack)
  const started = Date.now()
  let logLines = 0
  const what = ['--app-id', need(world, 'appId'), '--platform', 'android', '--type', 'release']
  const inputs = ['--path', sampleApp(world), '--certificate', need(world, 'keystore').name]
  const call = ['apps:builds:create', ...what, ...inputs, '--apk', apkFile, '--yes']
  try {
    const output = await callOfficialCli(world, call, echoLines(world))
    logLines = output.split('\n').filter((line) => line.trim()).length
  } finally {
    Object.assign(world.made, { containers: await watch.stop() })
  }
  prove(existsSync(apkFile), 'the CLI downloaded the APK')
  Object.assign(world.made, { apkFile })
  return `${logLines} lines of log followed, APK downloaded after ${((Date.now() - started) / 1000).toFixed(1)} s`
}
