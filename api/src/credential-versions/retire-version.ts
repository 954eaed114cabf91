import { withOrg } from '@capstan/migrations'

import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { moveVersion } from './move-version.js'
import type { StoredVersion } from './present-version.js'
import { lockCredential, requireVersion, type VersionPath } from './queries.js'
import { refuseUsedVersion } from './refuse-used-version.js'
import { hashContent, requireApproval } from './require-approval.js'

/**
 * Takes a version out of use: an active one gets no new builds from here on and serves those that have it; one that
 * retires already is retired at once when no unfinished build signs with it.
 */
export async function retireVersion(ctx: Context, path: VersionPath): Promise<StoredVersion> {
  requireScope(ctx, 'credentials:write')
  const content = { action: 'credential.version_retired', credential: path.credentialId, version: path.version }
  const approval = await requireApproval(ctx, 'credential.rotate', hashContent(content))
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    await lockCredential(tx, path)
    const version = await requireVersion(tx, path)
    const active = version.status === 'active'
    if (version.status === 'retiring') await refuseUsedVersion(tx, path)
    const moved = active
      ? await moveVersion(tx, version, 'retiring')
      : await moveVersion(tx, version, 'retired', { retiredAt: ctx.now() })
    await recordAudit(tx, ctx, {
      action: active ? 'credential.version_retiring' : 'credential.version_retired',
      target: { app: path.appId, credential: path.credentialId },
      data: { version: path.version, fingerprint: version.fingerprintSha256, approval },
    })
    return moved
  })
}
