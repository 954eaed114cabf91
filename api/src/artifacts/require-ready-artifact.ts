import type { artifacts } from '@capstan/migrations'
import type { BuildParams } from '../builds/find-build.js'
import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import { listArtifacts } from './list-artifacts.js'

type ArtifactParams = BuildParams & { artifactId: string }

/** An artefact whose bytes are stored and compared. */
export async function requireReadyArtifact(
  ctx: Context,
  params: ArtifactParams,
): Promise<typeof artifacts.$inferSelect> {
  const found = (await listArtifacts(ctx, params)).find((artifact) => artifact.id === params.artifactId)
  if (!found) throw new Problem('not-found')
  if (found.status !== 'ready') {
    throw new Problem('artifact-not-ready', 'This artifact is still being uploaded. Wait until the build has finished.')
  }
  return found
}
