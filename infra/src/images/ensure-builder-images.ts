import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { assembleWebContext } from './assemble-web-context.js'
import { holdLock } from '../hold-lock.js'
import { BuilderImageError } from './builder-image-error.js'
import { buildImage, findImage, readDaemonArchitecture } from './docker.js'
import { makeBaseImage } from './make-base-image.js'
import { definitionFolder, readDefinition, type ImageDefinition } from './read-definition.js'
import { reportStep, type Log } from './report-step.js'

const lockName = 'capstan-builder-images'
const folderPrefix = 'capstan-images-'

export type BuilderImage = { builder: string; id: string }

/**
 * Returns the builder image, making it and its parents first where the Docker daemon does not have them.
 * Safe to call from several processes at once; an interrupt leaves no tag and no temporary folder.
 */
export async function ensureBuilderImages(options: { log: Log; signal?: AbortSignal }): Promise<BuilderImage> {
  return interruptible(options.signal, async (signal) => {
    const architecture = await readDaemonArchitecture(signal)
    const definition = await readDefinition(definitionFolder, architecture)
    const found = await findImage(definition.builder.tag, signal)
    if (found) return { builder: definition.builder.tag, id: found }
    return holdLock(lockName, () => makeImages({ definition, architecture, log: options.log, signal }), {
      signal,
      onWait: () => options.log('builder images: another run is building them; waiting for it'),
    })
  })
}

type Making = { definition: ImageDefinition; architecture: string; log: Log; signal: AbortSignal }

async function makeImages({ definition, architecture, log, signal }: Making): Promise<BuilderImage> {
  const { base, web, builder } = definition
  const made = await findImage(builder.tag, signal)
  if (made) return { builder: builder.tag, id: made }
  if (!(await findImage(base.tag, signal))) await makeBaseImage(definition, log, signal)
  if (!(await findImage(web.tag, signal))) {
    await inTemporaryFolder((context) =>
      reportStep(log, 'web image: Node, package managers, git', async (onLine) => {
        await assembleWebContext({ definitionFolder: definition.folder, context, architecture, signal, onLine })
        await buildImage({ tag: web.tag, parent: base.tag, context, signal, onLine })
      }),
    )
  }
  await reportStep(log, 'Android image: JDK 17, aapt, dx, zipalign, apksigner', (onLine) =>
    buildImage({ tag: builder.tag, parent: web.tag, context: join(definition.folder, 'android'), signal, onLine }),
  )
  const id = await findImage(builder.tag, signal)
  if (!id) throw new BuilderImageError('command-failed', `Docker built ${builder.tag} but does not have it.`)
  return { builder: builder.tag, id }
}

async function inTemporaryFolder(work: (folder: string) => Promise<void>): Promise<void> {
  // The lock is held: a folder that is still here belongs to a run that was killed.
  for (const name of await readdir(tmpdir())) {
    if (name.startsWith(folderPrefix)) await rm(join(tmpdir(), name), { recursive: true, force: true })
  }
  const folder = await mkdtemp(join(tmpdir(), folderPrefix))
  try {
    await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Turns an interrupt of this program into an orderly end, and then lets the interrupt have its usual effect. */
async function interruptible<T>(outer: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController()
  let received: NodeJS.Signals | undefined
  const onSignal = (name: NodeJS.Signals) => {
    received = name
    stop.abort()
  }
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const name of names) process.on(name, onSignal)
  try {
    return await work(outer ? AbortSignal.any([outer, stop.signal]) : stop.signal)
  } finally {
    for (const name of names) process.off(name, onSignal)
    if (received && process.listenerCount(received) === 0) process.kill(process.pid, received)
  }
}
