import { z } from 'zod'
import { BuildFailure } from './build-failure.js'
import type { BuildRun, Sandbox } from './build-run.js'
import { sourceDir } from './build-run.js'
import { inContainerScript, scriptRunner } from './in-container-script.js'
import { captureCommand } from './run-command.js'

const RelativePath = z.string().refine((path) => !path.startsWith('/') && !path.split('/').includes('..'))

/** Printed inside the container, so it is input like any other. */
const Project = z.object({
  packageManager: z.enum(['npm', 'npm-unlocked', 'pnpm', 'yarn', 'yarn-berry', 'bun']).nullable(),
  scripts: z.array(z.string()),
  hasCapacitorCli: z.boolean(),
  webDir: RelativePath.nullable(),
  hasGradlew: z.boolean(),
  isGradlewExecutable: z.boolean(),
  problem: z.string().nullable(),
})
export type Project = z.infer<typeof Project>

export async function inspectSandbox(
  run: BuildRun,
  { containerId }: Sandbox,
  phase: 'install' | 'upload',
): Promise<Project> {
  const printed = await captureCommand(run, {
    phase,
    containerId,
    argv: [...scriptRunner, sourceDir],
    stdin: await inContainerScript('inspect-project'),
    failureCode: 'project-unreadable',
    subject: 'Reading the project',
  })
  const unreadable = new BuildFailure(
    'project-unreadable',
    'package.json or capacitor.config.json cannot be understood; webDir must be a folder inside the project.',
  )
  let parsed: ReturnType<typeof Project.safeParse>
  try {
    parsed = Project.safeParse(JSON.parse(printed.toString('utf8')))
  } catch {
    throw unreadable
  }
  if (!parsed.success) throw unreadable
  if (parsed.data.problem !== null) throw new BuildFailure('project-unreadable', parsed.data.problem)
  return parsed.data
}
