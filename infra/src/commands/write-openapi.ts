import { join } from 'node:path'
import type { Config } from '../config.js'
import { Failure } from '../failure.js'
import { runTool } from '../run-tool.js'

/** Writes `api/openapi.json` from the routes. */
export async function writeOpenapi(config: Config): Promise<number> {
  const script = join(config.checkout, 'api', 'dist', 'openapi.js')
  const { code, stdout, stderr } = await runTool(process.execPath, [script], { env: config.baseEnv })
  if (code !== 0) throw new Failure(`api/openapi.json could not be written.\n${stderr || stdout}`)
  console.log('api/openapi.json is up to date')
  return 0
}
