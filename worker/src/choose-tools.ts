import { BuildFailure } from './build-failure.js'
import type { BuildRun } from './build-run.js'
import type { Project, Tools } from './inspect-sandbox.js'

/** The environment in which the versions that the variables name are found; what the image lacks is a failure. */
export function chooseTools(run: BuildRun, tools: Tools): Record<string, string> {
  const variables: Record<string, string | undefined> = { ...run.spec.variables, ...run.secretVariables }
  const node = chosenFolder('NODE_VERSION', 'Node', variables['NODE_VERSION'], tools.node)
  const java = chosenFolder('JAVA_VERSION', 'Java', variables['JAVA_VERSION'], tools.java)
  const folders = [node, java].flatMap((folder) => (folder === undefined ? [] : [`${folder}/bin`]))
  if (folders.length === 0) return {}
  return { PATH: [...folders, tools.path].join(':'), ...(java !== undefined && { JAVA_HOME: java }) }
}

function chosenFolder(
  variable: string,
  tool: string,
  wanted: string | undefined,
  versions: Readonly<Record<string, string>>,
): string | undefined {
  if (wanted === undefined || wanted === '') return undefined
  const version = wanted.trim().replace(/^v/, '')
  const found = Object.keys(versions)
    .filter((candidate) => candidate === version || candidate.startsWith(`${version}.`))
    .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))[0]
  if (found !== undefined) return versions[found]
  const known = Object.keys(versions).join(', ') || 'none'
  throw new BuildFailure(
    'tool-version-missing',
    `The builder image has ${tool} ${known}, not ${JSON.stringify(wanted.slice(0, 40))}. Change the variable ${variable} or leave it out.`,
  )
}

/** A package manager that the image lacks would be a shell's "not found". */
export function refuseWithoutManager({ packageManager, installCommand }: Project, { programs }: Tools): void {
  const program = packageManager?.replace(/-.*$/, '')
  if (program === undefined || installCommand !== null || programs.includes(program)) return
  throw new BuildFailure(
    'package-manager-missing',
    `The lockfile is one of ${program}, which the builder image does not have. It has ${programs.join(', ')}.`,
  )
}
