import { buildSources, newId, type Transaction } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import { checkGitRef } from '../repositories/check-git-ref.js'
import { findRepository } from '../repositories/get-repository.js'

export type SourceChoice = {
  appId: string
  gitRef?: string | null | undefined
  appBuildSourceId?: string | null | undefined
}

type Source = Pick<typeof buildSources.$inferSelect, 'id' | 'type' | 'sha256' | 'gitRef'>

/** What was uploaded or announced, else the linked repository at the reference that was named. */
export async function chooseSource(tx: Transaction, ctx: Context, choice: SourceChoice): Promise<Source> {
  if (!choice.appBuildSourceId) return sourceOfRepository(tx, ctx, choice)
  const { id, type, status, sha256, gitRef } = buildSources
  const [source] = await tx
    .select({ id, type, status, sha256, gitRef })
    .from(buildSources)
    .where(and(eq(buildSources.id, choice.appBuildSourceId), eq(buildSources.appId, choice.appId)))
    .for('share')
  if (!source) {
    throw new Problem('build-source-missing', 'appBuildSourceId: this app has no such source. Upload it again.')
  }
  if (source.status !== 'ready') {
    throw new Problem('build-source-not-ready', 'The source has not been uploaded completely. Finish the upload first.')
  }
  return source
}

async function sourceOfRepository(tx: Transaction, ctx: Context, { appId, gitRef }: SourceChoice): Promise<Source> {
  const ref = gitRef ? checkGitRef(gitRef) : 'HEAD'
  const repository = await findRepository(tx, appId)
  if (!repository) {
    const code = gitRef ? 'repository-missing' : 'build-source-missing'
    throw new Problem(
      code,
      `The ${gitRef ? 'app has no repository' : 'build has no source'}. Upload the project with --path, or link a repository to the app with apps:link.`,
    )
  }
  const [source] = await tx
    .insert(buildSources)
    .values({
      id: newId(),
      orgId: ctx.orgId,
      appId,
      type: 'git',
      status: 'ready',
      remoteUrl: repository.url,
      gitRef: ref,
      gitConnectionId: repository.gitConnectionId,
      createdBy: ctx.actor.id,
    })
    .returning()
  if (!source) throw new Error('The build source was not inserted.')
  return source
}
