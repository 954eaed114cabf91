import type { CacheAnswer, CacheQuestion } from '@capstan/migrations/messages'
import type { Readable } from 'node:stream'
import { BuildFailure, LeaseLost } from '../build-failure.js'
import type { BuildRun, Sandbox } from '../build-run.js'
import { toolDir } from '../build-run.js'
import { cachedManagerOf, stores } from '../cached-managers.js'
import type { Project } from '../inspect-sandbox.js'
import { inContainerScript, scriptRunner } from '../in-container-script.js'
import { exitInvalid } from '../in-container/unpack-cache.js'
import { exitCodeOf, runCommand } from '../run-command.js'
import { download, TransferMismatch } from '../signed-url.js'

export const cacheArchive = `${toolDir}/cache.tar`
/** The archive and what comes out of it lie on the disk of the build together. */
const shareOfDisk = 3

/** What a build does about its cache from here on. */
export type CacheUse = {
  question: CacheQuestion
  outcome: 'hit' | 'miss' | 'refused' | 'off'
  /** How much may be left for the next build; null: nothing. */
  maxBytes: number | null
  sizeBytes?: number
  restoreMs?: number
}

const shared = { phase: 'restore-cache', failureCode: 'cache-failed', subject: 'Restoring the cache' } as const

/** Brings the downloads of an earlier build into the container. Whatever is wrong with them, the build goes on without. */
export async function restoreCache(run: BuildRun, sandbox: Sandbox, question: CacheQuestion): Promise<CacheUse> {
  const answer = await ask(run, question)
  if (answer.state === 'off') {
    run.logs.note('restore-cache', `No cache: ${answer.reason}`)
    return { question, outcome: 'off', maxBytes: null }
  }
  if (answer.state === 'miss') {
    run.logs.note('restore-cache', `There is no cache yet for this lockfile (SHA-256 ${question.lockfileSha256}).`)
    return { question, outcome: 'miss', maxBytes: answer.maxBytes }
  }
  const startedAt = Date.now()
  const refusal = await restore(run, sandbox, { ...answer, folder: stores[question.packageManager].folder })
  const restoreMs = Date.now() - startedAt
  const figures = { question, maxBytes: null, restoreMs, sizeBytes: answer.sizeBytes }
  if (refusal === undefined) return { ...figures, outcome: 'hit' }
  run.logs.note('restore-cache', `The cache is not used: ${refusal.sentence}`)
  await runCommand(run, { ...shared, ...sandbox, argv: ['rm', '-rf', cacheArchive, '/work/cache'] })
  return { ...figures, outcome: refusal.isCacheAtFault ? 'refused' : 'off' }
}

/** What a cache for this project would be called, or why there is none. */
export async function cacheQuestion(run: BuildRun, project: Project): Promise<CacheQuestion | string> {
  const packageManager = cachedManagerOf(project)
  if (packageManager === undefined || project.lockfileSha256 === null) return 'No lockfile says what is downloaded.'
  return { packageManager, lockfileSha256: project.lockfileSha256, imageId: await run.imageId() }
}

/** Figures by which the platform leaves out a cache that costs more than it saves; a build does not fail over them. */
export async function reportCache(
  run: BuildRun,
  { outcome, restoreMs, sizeBytes }: CacheUse,
  rest: { installMs: number; saveMs?: number; sizeBytes?: number },
): Promise<void> {
  const figures = { ...(restoreMs !== undefined && { restoreMs }), ...(sizeBytes !== undefined && { sizeBytes }) }
  try {
    const report = { refused: outcome === 'refused', ...figures, ...rest }
    await run.lease.reportCache(report, { signal: run.signal, budgetMs: 10_000 })
  } catch (error) {
    orStop(run, error, undefined)
  }
}

async function ask(run: BuildRun, question: CacheQuestion): Promise<CacheAnswer> {
  try {
    return await run.lease.findCache(question, { signal: run.signal, budgetMs: 10_000 })
  } catch (error) {
    return orStop(run, error, { state: 'off', reason: 'the API gave no answer.' })
  }
}

type Refusal = { sentence: string; isCacheAtFault: boolean }
type Hit = Extract<CacheAnswer, { state: 'hit' }> & { folder: string }

/** Hash before content: nothing looks inside the archive before its size and SHA-256 are what the platform recorded. */
async function restore(run: BuildRun, { containerId }: Sandbox, hit: Hit): Promise<Refusal | undefined> {
  if (hit.sizeBytes > run.spec.limits.diskBytes / shareOfDisk) {
    return { sentence: `its ${hit.sizeBytes} bytes are too many for the disk of this build.`, isCacheAtFault: false }
  }
  const store = (stdin: Readable) =>
    runCommand(run, { ...shared, containerId, argv: ['sh', '-c', `cat > ${cacheArchive}`], stdin })
  try {
    await download(hit.url, hit, store, run.signal)
  } catch (error) {
    const isCacheAtFault = error instanceof TransferMismatch
    const sentence = isCacheAtFault ? 'it is not what was stored.' : 'it could not be fetched.'
    return orStop(run, error, { sentence, isCacheAtFault })
  }
  let said = ''
  const exitCode = await exitCodeOf(run, {
    ...shared,
    containerId,
    argv: ['sh', '-c', 'exec "$@" 2>&1', 'sh', ...scriptRunner, cacheArchive, hit.folder],
    stdin: await inContainerScript('unpack-cache'),
    onStdout: (chunk) => {
      if (said.length < 1_000) said += chunk.toString('utf8')
    },
  })
  if (exitCode !== 0) {
    const sentence = `${run.secrets.maskText(said.trim()).slice(0, 500)}.`
    return { sentence, isCacheAtFault: exitCode === exitInvalid }
  }
  await runCommand(run, { ...shared, containerId, argv: ['rm', cacheArchive] })
  run.logs.note('restore-cache', `Restored ${hit.sizeBytes} bytes, SHA-256 ${hit.sha256}, ${said.trim()}`)
  return undefined
}

/** A cache is never a reason to fail; a lost lease, an end of the build or a container that is gone are. */
export function orStop<T>(run: BuildRun, error: unknown, otherwise: T): T {
  run.signal.throwIfAborted()
  const isGone = error instanceof BuildFailure && ['container-stopped', 'out-of-memory'].includes(error.code)
  if (error instanceof LeaseLost || isGone) throw error
  return otherwise
}
