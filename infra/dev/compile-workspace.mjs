import { join } from 'node:path'
import { runTool } from './run-tool.mjs'
import { SetupFailure } from './setup-failure.mjs'

/** Compiles what changed since the last time. */
export async function compileWorkspace(root) {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const { code, output } = await runTool('compiling', process.execPath, [tsc, '-b', '--pretty', 'false'], { cwd: root })
  if (code !== 0) throw new SetupFailure(`the code does not compile.\n${output}`)
}
