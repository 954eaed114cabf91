import { appRepositories, gitConnections, type Transaction, withOrg } from '@capstan/migrations'
import { desc, eq, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope, requireScopeEverywhere } from '../context.js'
import { findConnection, type GitConnection } from '../git-connections/find-connection.js'
import { Problem } from '../problems.js'
import { checkRemoteUrl } from './check-remote-url.js'
import { providerHosts, type RepositoryName, repositoryPath, repositoryUrl } from './repository-url.js'

export type Repository = typeof appRepositories.$inferSelect

/** As the official CLI names a repository, as its SDKs do, or by its address. */
export type LinkRepository = { appId: string } & (
  | RepositoryName
  | { gitConnectionId: string; path: string }
  | { url: string; gitConnectionId?: string | undefined }
)

type Target = { provider: string; path: string; url: string; connection: GitConnection | null }

/** Says where the sources of an app's builds are. Whether the repository is there turns out when a build fetches it. */
export async function linkRepository(ctx: Context, input: LinkRepository): Promise<Repository> {
  requireScope(ctx, 'apps:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const { connection, ...target } = await resolve(tx, input)
    const rules = { protocols: ['https:', 'ssh:'], privateHosts: ctx.sourcePrivateHosts }
    const url = checkRemoteUrl(target.url, rules)
    if (connection) {
      // It opens every repository of its host, and not only this app's.
      requireScopeEverywhere(ctx, 'apps:write')
      requireFit(connection, url)
    }
    const row = { ...target, url: url.href, gitConnectionId: connection?.id ?? null }
    const [repository] = await tx
      .insert(appRepositories)
      .values({ appId: input.appId, orgId: ctx.orgId, ...row })
      .onConflictDoUpdate({ target: appRepositories.appId, set: { ...row, updatedAt: sql`now()` } })
      .returning()
    if (!repository) throw new Error('The repository was not stored.')
    await recordAudit(tx, ctx, {
      action: 'repository.linked',
      target: { app: input.appId },
      data: { connection: repository.gitConnectionId },
      personal: { url: url.href },
    })
    return repository
  })
}

async function resolve(tx: Transaction, input: LinkRepository): Promise<Target> {
  if ('url' in input) {
    const connection = input.gitConnectionId ? await findConnection(tx, input.gitConnectionId) : null
    const path = input.url.replace(/^[a-z]+:\/\/[^/]*\//, '')
    return { provider: connection?.provider ?? 'git_http', path, url: input.url, connection }
  }
  if ('path' in input) {
    const connection = await findConnection(tx, input.gitConnectionId)
    const url = repositoryUrl(connection.host, input.path, connection.authKind === 'ssh')
    return { provider: connection.provider, path: input.path, url, connection }
  }
  const path = repositoryPath(input)
  const host = providerHosts[input.provider] ?? ''
  const [connection = null] = await tx
    .select()
    .from(gitConnections)
    .where(eq(gitConnections.host, host))
    .orderBy(desc(gitConnections.id))
    .limit(1)
  return { provider: input.provider, path, url: repositoryUrl(host, path, connection?.authKind === 'ssh'), connection }
}

/** A credential goes to its own host alone, and over the transport that it is for. */
function requireFit({ host, name, authKind }: GitConnection, url: URL): void {
  if (url.host !== host) {
    const sentence = `The connection "${name}" is for ${host}, not for ${url.host}. Name one for that host, or none.`
    throw new Problem('git-connection-invalid', sentence)
  }
  const needed = authKind === 'ssh' ? 'ssh:' : authKind === 'basic' ? 'https:' : url.protocol
  if (url.protocol !== needed) {
    throw new Problem(
      'git-connection-invalid',
      `The connection "${name}" needs an address that begins with ${needed}//.`,
    )
  }
}
