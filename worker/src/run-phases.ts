import type { BuildRun, Sandbox } from './build-run.js'
import { chooseTools, refuseWithoutManager } from './choose-tools.js'
import { chooseVariant, compilesOnline } from './choose-variant.js'
import { withEgress } from './egress/open-egress.js'
import { inspectSandbox } from './inspect-sandbox.js'
import type { Inspection, Project } from './inspect-sandbox.js'
import { buildWeb, webBuildCommand } from './phases/build-web.js'
import { compile } from './phases/compile.js'
import { fetchSource } from './phases/fetch-source.js'
import { install } from './phases/install.js'
import { prepare } from './phases/prepare.js'
import type { CacheUse } from './phases/restore-cache.js'
import { cacheQuestion, reportCache, restoreCache } from './phases/restore-cache.js'
import { saveCache } from './phases/save-cache.js'
import { sign } from './phases/sign.js'
import { syncNative } from './phases/sync-native.js'
import { uploadAndroid, uploadWeb } from './phases/upload.js'
import { verify } from './phases/verify.js'
import { inPhase, skipPhases } from './track-phases.js'

/** A whole build, phase by phase; each one hands on what the next one needs. */
export async function runPhases(run: BuildRun): Promise<void> {
  const sandbox = await inPhase(run, 'prepare', () => prepare(run))
  const project = await inPhase(run, 'fetch-source', async () => readProject(run, await fetchSource(run, sandbox)))
  const command = webBuildCommand(project)
  skipNeedless(run, project, command)
  if (project.packageManager !== null) await installWithCache(run, sandbox, project)
  if (command !== undefined) await inPhase(run, 'build-web', () => buildWeb(run, sandbox, project, command))
  const commandsRan = command !== undefined || project.packageManager !== null
  if (run.spec.platform === 'web') await finishWeb(run, sandbox, commandsRan ? undefined : project)
  else await finishAndroid(run, sandbox, project)
}

function readProject(run: BuildRun, { project, tools }: Inspection): Project {
  run.tools = chooseTools(run, tools)
  refuseWithoutManager(project, tools)
  return project
}

/** What will not run is reported at once, as soon as it is known. */
function skipNeedless(run: BuildRun, project: Project, command: readonly string[] | undefined): void {
  if (project.packageManager === null) {
    skipPhases(run, ['install'], 'There is no package.json, so nothing is installed.')
  }
  if (command === undefined) {
    skipPhases(run, ['build-web'], 'package.json has neither a script "capawesome:build" nor "build".')
  }
  if (run.spec.platform === 'web') {
    skipPhases(run, ['sync-native', 'compile', 'sign', 'verify'], 'A web build has no native part.')
  }
}

/** Downloads of an earlier build first, then the install, then what it downloaded is kept for the next one. */
async function installWithCache(run: BuildRun, sandbox: Sandbox, project: Project): Promise<void> {
  if (run.spec.cache === undefined) {
    return inPhase(run, 'install', () => installAndCut(run, sandbox, project))
  }
  const question = await cacheQuestion(run, project)
  if (typeof question === 'string') skipPhases(run, ['restore-cache'], question)
  const use =
    typeof question === 'string'
      ? undefined
      : await inPhase(run, 'restore-cache', () => restoreCache(run, sandbox, question))
  const startedAt = Date.now()
  await inPhase(run, 'install', () => installAndCut(run, sandbox, project, use))
  const installMs = Date.now() - startedAt
  if (!use) return
  let saved: { sizeBytes?: number; saveMs?: number } = {}
  if (use.maxBytes === null) {
    skipPhases(run, ['save-cache'], use.outcome === 'hit' ? 'The cache is there already.' : 'Nothing is kept.')
  } else {
    const from = Date.now()
    const sizeBytes = await inPhase(run, 'save-cache', () => saveCache(run, sandbox, use))
    saved = { saveMs: Date.now() - from, ...(sizeBytes !== undefined && { sizeBytes }) }
  }
  await reportCache(run, use, { installMs, ...saved })
}

async function installAndCut(run: BuildRun, sandbox: Sandbox, project: Project, use?: CacheUse): Promise<void> {
  const work = () => install(run, sandbox, project, use)
  await withEgress(run, sandbox, { phase: 'install' }, work)
}

async function finishAndroid(run: BuildRun, sandbox: Sandbox, project: Project): Promise<void> {
  const variant = chooseVariant(run)
  await inPhase(run, 'sync-native', () => syncNative(run, sandbox, project))
  const compiling = () => compile(run, sandbox, project, variant)
  const compiled = await inPhase(run, 'compile', () =>
    compilesOnline(run) ? withEgress(run, sandbox, { phase: 'compile' }, compiling) : compiling(),
  )
  const signed = await inPhase(run, 'sign', () => sign(run, sandbox, compiled))
  const verified = await inPhase(run, 'verify', () => Promise.all(signed.map((file) => verify(run, file))))
  await inPhase(run, 'upload', async () => {
    for (const file of verified) await uploadAndroid(run, file, variant)
  })
}

/** `known` where nothing of the customer's ran since the project was looked at: a command may make the output's folder. */
async function finishWeb(run: BuildRun, sandbox: Sandbox, known: Project | undefined): Promise<void> {
  await inPhase(run, 'upload', async () => {
    await uploadWeb(run, sandbox, known ?? (await inspectSandbox(run, sandbox, 'upload')).project)
  })
}
