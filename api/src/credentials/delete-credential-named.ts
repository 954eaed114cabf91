import { credentials, withOrg } from '@capstan/migrations'
import { and, eq, inArray } from 'drizzle-orm'

import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { deleteCredential } from './delete-credential.js'
import { certificateKinds, type platforms, type types } from './present-credential.js'

export type DeleteCredentialNamed = {
  appId: string
  name: string
  platform?: (typeof platforms)[number] | undefined
  type?: (typeof types)[number] | undefined
}

/** Deletes the one certificate that is meant; a name that several platforms use must be told apart. */
export async function deleteCredentialNamed(ctx: Context, input: DeleteCredentialNamed): Promise<void> {
  requireScope(ctx, 'credentials:write')
  const { appId, name, platform, type } = input
  const found = await withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select({ id: credentials.id, platform: credentials.platform })
      .from(credentials)
      .where(
        and(
          eq(credentials.appId, appId),
          inArray(credentials.kind, [...certificateKinds]),
          eq(credentials.nameLower, name.trim().toLowerCase()),
          platform === undefined ? undefined : eq(credentials.platform, platform),
          type === undefined ? undefined : eq(credentials.type, type),
        ),
      ),
  )
  const [credential, another] = found
  if (credential === undefined) {
    throw new Problem('credential-not-found', `This app has no certificate named "${name}".`)
  }
  if (another !== undefined) {
    const known = found.map((row) => row.platform).toSorted()
    throw new Problem(
      'credential-ambiguous',
      `Certificates for ${known.join(' and ')} are named "${name}". Give a platform.`,
    )
  }
  await deleteCredential(ctx, { appId, credentialId: credential.id })
}
