import { z } from 'zod'
import { BuildFailure } from './build-failure.js'
import type { BuildRun, Sandbox } from './build-run.js'
import { sourceDir } from './build-run.js'
import { inContainerScript, scriptRunner } from './in-container-script.js'
import { captureCommand } from './run-command.js'

const RelativePath = z.string().refine((path) => !path.startsWith('/') && !path.split('/').includes('..'))
const Command = z.string().max(2_000).nullable()

/** Printed inside the container, so it is input like any other. */
const Project = z.object({
  baseDir: RelativePath,
  installDir: RelativePath,
  installCommand: Command,
  webBuildCommand: Command,
  packageManager: z.enum(['npm', 'npm-unlocked', 'pnpm', 'yarn', 'yarn-berry', 'bun']).nullable(),
  lockfileSha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable(),
  scripts: z.array(z.string()),
  hasCapacitorCli: z.boolean(),
  webDir: RelativePath.nullable(),
  hasGradlew: z.boolean(),
  isGradlewExecutable: z.boolean(),
  problem: z.string().max(1_000).nullable(),
})
export type Project = z.infer<typeof Project>

const Folders = z.record(z.string(), z.string())
const Tools = z.object({ path: z.string(), node: Folders, java: Folders, programs: z.array(z.string()) })
export type Tools = z.infer<typeof Tools>

const Inspection = z.object({ entries: z.number().optional(), project: Project, tools: Tools })
export type Inspection = z.infer<typeof Inspection>

/** Where the app's commands run. */
export const projectDir = ({ baseDir }: Project): string => (baseDir === '' ? sourceDir : `${sourceDir}/${baseDir}`)

export async function inspectSandbox(
  run: BuildRun,
  { containerId }: Sandbox,
  phase: 'fetch-source' | 'upload',
): Promise<Inspection> {
  const printed = await captureCommand(run, {
    phase,
    containerId,
    argv: [...scriptRunner, sourceDir, run.spec.appId],
    stdin: await inContainerScript('inspect-project'),
    failureCode: 'project-unreadable',
    subject: 'Reading the project',
  })
  return readInspection(printed.toString('utf8'))
}

/** What the script in the container printed, as far as a build can go on with it. */
export function readInspection(printed: string): Inspection {
  const unreadable = new BuildFailure(
    'project-unreadable',
    'package.json, capawesome.config.json or capacitor.config.json cannot be understood; webDir must be a folder inside the project.',
  )
  let parsed: ReturnType<typeof Inspection.safeParse>
  try {
    parsed = Inspection.safeParse(JSON.parse(printed))
  } catch {
    throw unreadable
  }
  if (!parsed.success) throw unreadable
  const { problem } = parsed.data.project
  if (problem !== null) throw new BuildFailure('project-unreadable', problem)
  return parsed.data
}
