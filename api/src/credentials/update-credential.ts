import { credentials, withOrg } from '@capstan/migrations'
import { and, eq, ne } from 'drizzle-orm'

import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { nameTaken } from './create-credential.js'
import { requireCredential } from './find-credentials.js'
import type { StoredCredential } from './present-credential.js'

export type UpdateCredential = {
  appId: string
  credentialId: string
  name?: string | undefined
  /** Which of `password`, `keyAlias`, `keyPassword` the caller wants to change. */
  secrets: string[]
}

/** Renames a credential. What is inside its envelope stays: this process cannot open it to put it together anew. */
export async function updateCredential(ctx: Context, input: UpdateCredential): Promise<StoredCredential> {
  requireScope(ctx, 'credentials:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const found = await requireCredential(tx, input, input.credentialId)
    refuseSecrets(input.secrets)
    const { name } = input
    if (name === undefined || name === found.credential.name) return found
    const [other] = await tx
      .select({ id: credentials.id })
      .from(credentials)
      .where(
        and(
          eq(credentials.appId, input.appId),
          eq(credentials.kind, found.credential.kind),
          eq(credentials.nameLower, name.toLowerCase()),
          ne(credentials.id, found.credential.id),
        ),
      )
    if (other !== undefined) throw nameTaken({ name, kind: found.credential.kind })
    const [credential] = await tx
      .update(credentials)
      .set({
        name,
        nameLower: name.toLowerCase(),
        updatedAt: ctx.now(),
        updatedBy: ctx.actor.type === 'user' ? ctx.actor.id : null,
      })
      .where(eq(credentials.id, found.credential.id))
      .returning()
    if (credential === undefined) throw new Problem('credential-not-found')
    await recordAudit(tx, ctx, {
      action: 'credential.renamed',
      target: { app: input.appId, credential: credential.id },
      personal: { from: found.credential.name, to: name },
    })
    return { ...found, credential }
  })
}

function refuseSecrets(secrets: string[]): void {
  if (secrets.length === 0) return
  throw new Problem(
    'request-invalid',
    `${secrets.join(', ')}: passwords and alias were checked when the keystore was uploaded and are sealed with it. To change them, upload the keystore again as a new version (POST …/versions) and make that one active.`,
    {
      errors: secrets.map((name) => ({ pointer: `/${name}`, detail: 'cannot be changed without the keystore file' })),
    },
  )
}
