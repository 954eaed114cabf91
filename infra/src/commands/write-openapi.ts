import { join } from 'node:path'
import type { Config } from '../config.js'
import { Failure } from '../failure.js'
import { runTool } from '../run-tool.js'

async function run(config: Config, label: string, script: string, args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await runTool(process.execPath, [script, ...args], {
    cwd: config.checkout,
    env: config.baseEnv,
  })
  if (code !== 0) throw new Failure(`${label} failed.\n${stderr || stdout}`)
}

/** Writes `api/openapi.json` from the routes, and from it the SDK's types. */
export async function writeOpenapi(config: Config): Promise<number> {
  const contract = join(config.checkout, 'api', 'openapi.json')
  const types = join(config.checkout, 'sdk', 'src', 'openapi.ts')
  await run(config, 'Writing api/openapi.json', join(config.checkout, 'api', 'dist', 'write-openapi.js'), [contract])
  const generator = join(config.checkout, 'node_modules', 'openapi-typescript', 'bin', 'cli.js')
  await run(config, 'Writing sdk/src/openapi.ts', generator, [contract, '--output', types])
  console.log('api/openapi.json and sdk/src/openapi.ts are up to date')
  return 0
}
