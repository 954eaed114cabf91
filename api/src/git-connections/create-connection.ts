import { gitConnections, newId, sealedValues, withOrg } from '@capstan/migrations'
import type { GitCredential } from '@capstan/migrations/messages'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { checkRemoteUrl } from '../repositories/check-remote-url.js'
import { providerHosts } from '../repositories/repository-url.js'
import { sealValue } from '../sealed-values/seal-value.js'
import { checkSshKey } from './check-ssh-key.js'
import type { GitConnection } from './find-connection.js'

export type CreateConnection = {
  name: string
  provider: string
  host?: string | undefined
  auth: { kind: 'none' } | GitCredential
}

/** Stores how a git host is reached. The credential is encrypted before the database hears of it, and never shown. */
export async function createConnection(ctx: Context, input: CreateConnection): Promise<GitConnection> {
  requireScope(ctx, 'git-connections:write')
  const host = requireHost(ctx, input)
  const id = newId()
  const credential = input.auth.kind === 'none' ? null : checkCredential(input.auth, host)
  const sealed =
    credential &&
    (await sealValue(ctx, { gitConnectionId: id }, { name: 'credential', text: JSON.stringify(credential) }))
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [connection] = await tx
      .insert(gitConnections)
      .values({
        id,
        orgId: ctx.orgId,
        name: input.name,
        nameLower: input.name.toLowerCase(),
        provider: input.provider,
        host,
        authKind: input.auth.kind,
        createdBy: ctx.actor.id,
      })
      .onConflictDoNothing()
      .returning()
    if (!connection) {
      const sentence = `The organization has a git connection named "${input.name}" already. Choose another name.`
      throw new Problem('git-connection-name-taken', sentence)
    }
    if (sealed) await tx.insert(sealedValues).values(sealed)
    await recordAudit(tx, ctx, {
      action: 'git_connection.created',
      target: { 'git-connection': id },
      data: { provider: input.provider, authKind: input.auth.kind },
      personal: { name: input.name, host },
    })
    return connection
  })
}

function requireHost(ctx: Context, { host, provider }: CreateConnection): string {
  const known = host ?? providerHosts[provider]
  if (known === undefined) throw new Problem('git-connection-invalid', 'host: say which host this connection is for.')
  const url = checkRemoteUrl(`https://${known}/x`, { protocols: ['https:'], privateHosts: ctx.sourcePrivateHosts })
  if (url.host === known.toLowerCase()) return url.host
  throw new Problem('source-address-refused', 'host: name the host alone, such as "git.example.com".')
}

function checkCredential(credential: GitCredential, host: string): GitCredential {
  if (credential.kind === 'basic') return credential
  const lines = credential.knownHosts.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'))
  const isKnown = lines.every((line) => /^\S+ (ssh-|ecdsa-|sk-)\S+ [A-Za-z0-9+/=]+/.test(line.trim()))
  if (lines.length === 0 || !isKnown) {
    const hint = `Take it from a network you trust: ssh-keyscan ${host}`
    throw new Problem('git-connection-invalid', `knownHosts: the host's key is needed, as in known_hosts. ${hint}`)
  }
  return { ...credential, privateKey: checkSshKey(credential.privateKey), knownHosts: `${lines.join('\n')}\n` }
}
