import { type Transaction, withOrg } from '@capstan/migrations'

import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { iosBundleIdOf } from '../provisioning-profiles/check-profile-app.js'
import { type BuildTarget, type Finding, findLinkedProfiles, judgeVersion } from './judge-version.js'
import { type CredentialPath, type CredentialRow, requireCredentialRow, requireVersion } from './queries.js'

export type Obstacle = Finding | { code: 'credential-version-not-active'; message: string }

/** What a build that asked to sign with this credential now would be refused for. */
export async function preFlight(
  ctx: Context,
  path: CredentialPath,
  target: BuildTarget = {},
): Promise<{ version: number; obstacles: Obstacle[] }> {
  requireScope(ctx, 'credentials:read')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const credential = await requireCredentialRow(tx, path)
    return { version: credential.currentVersion, obstacles: await findObstacles(tx, credential, target, ctx.now()) }
  })
}

/** Refuses a credential that this build could not sign with, before the build takes anybody's place. */
export async function requireUsable(
  tx: Transaction,
  credential: CredentialRow,
  target: BuildTarget,
  now: Date,
): Promise<void> {
  const obstacles = await findObstacles(tx, credential, target, now)
  const [first] = obstacles
  if (first !== undefined) throw new Problem(first.code, obstacles.map(({ message }) => message).join(' '))
}

/** Without a bundle identifier of the build's own, the app's counts. */
async function findObstacles(
  tx: Transaction,
  credential: CredentialRow,
  { type, bundleId }: BuildTarget,
  now: Date,
): Promise<Obstacle[]> {
  const { id: credentialId, appId, kind, currentVersion } = credential
  const version = await requireVersion(tx, { appId, credentialId, version: currentVersion })
  if (version.status !== 'active') {
    const message = `No version of the certificate "${credential.name}" is active: version ${currentVersion} is ${version.status}. Make a version active first.`
    return [{ code: 'credential-version-not-active', message }]
  }
  const target = { type, bundleId: bundleId ?? (await iosBundleIdOf(tx, appId)) }
  return judgeVersion({ kind, version, profiles: await findLinkedProfiles(tx, credentialId), target }, now)
}
