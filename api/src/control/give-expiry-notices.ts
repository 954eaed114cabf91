import {
  apps,
  credentialNotices,
  credentials,
  credentialVersions,
  newId,
  withOrg,
  type Transaction,
} from '@capstan/migrations'
import { eq, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { expiryLetter } from '../mails/letters.js'
import { mailToRoles } from '../mails/mail-to.js'
import type { ControlDeps } from './control-deps.js'

const DAYS_BEFORE = [1, 7, 14, 30, 60] as const
const DAY_MS = 24 * 60 * 60_000

/**
 * Says once at 60, 30, 14, 7 and 1 days before that an active version expires. Whoever was away for a while says the
 * nearest of what is due, and nothing of what has passed.
 */
export async function giveExpiryNotices(deps: ControlDeps): Promise<number> {
  const organizations = await deps.db
    .selectDistinct({ orgId: credentialVersions.orgId })
    .from(credentialVersions)
    .where(eq(credentialVersions.status, 'active'))
  let given = 0
  for (const { orgId } of organizations) {
    const expiring = await withOrg(deps.db, orgId, (tx) => findExpiring(tx, deps.now()))
    for (const version of expiring) if (await giveNotice(deps, orgId, version)) given += 1
  }
  return given
}

type Expiring = { credentialId: string; appId: string; version: number; fingerprint: string; expiresAt: Date }

/**
 * The earliest of the certificate and of the profiles that go with it: for each target the one that lasts longest, for a
 * renewed profile does not make the old one matter again.
 */
async function findExpiring(tx: Transaction, now: Date): Promise<Expiring[]> {
  const until = new Date(now.getTime() + Math.max(...DAYS_BEFORE) * DAY_MS)
  const rows = await tx.execute<Omit<Expiring, 'expiresAt'> & { expiresAt: string | Date }>(sql`
    with earliest as (
      select v.credential_id, v.version, v.fingerprint_sha256, least(v.expires_at, (
        select min(longest) from (
          select max(p.expires_at) as longest from provisioning_profiles p
          where p.credential_id = v.credential_id and v.fingerprint_sha256 = any (p.certificate_fingerprints)
          group by p.application_identifier) as targets)) as expires_at
      from credential_versions v where v.status = 'active')
    select e.credential_id as "credentialId", c.app_id as "appId", e.version, e.fingerprint_sha256 as fingerprint,
      e.expires_at as "expiresAt"
    from earliest e join credentials c on c.id = e.credential_id
    where e.expires_at > ${now.toISOString()} and e.expires_at <= ${until.toISOString()}`)
  return rows.map((row) => ({ ...row, expiresAt: new Date(row.expiresAt) }))
}

async function giveNotice(deps: ControlDeps, orgId: string, expiring: Expiring): Promise<boolean> {
  const { credentialId, appId, version, fingerprint, expiresAt } = expiring
  const left = expiresAt.getTime() - deps.now().getTime()
  const daysBefore = DAYS_BEFORE.find((days) => left <= days * DAY_MS)
  if (daysBefore === undefined) return false
  return withOrg(deps.db, orgId, async (tx) => {
    const [notice] = await tx
      .insert(credentialNotices)
      .values({ orgId, credentialId, version, daysBefore, expiresAt })
      .onConflictDoNothing()
      .returning({ daysBefore: credentialNotices.daysBefore })
    if (!notice) return false
    await mailExpiry(tx, deps, { orgId, appId, credentialId, daysBefore, expiresAt })
    const by = { orgId, actor: { type: 'system', id: 'control' } as const, requestId: newId() }
    await recordAudit(tx, by, {
      action: 'credential.expires_soon',
      target: { app: appId, credential: credentialId },
      data: { version, fingerprint, daysBefore, expiresAt: expiresAt.toISOString() },
    })
    deps.log.warn({ orgId, credentialId, version, daysBefore, expiresAt }, 'a credential expires soon')
    return true
  })
}

type Told = { orgId: string; appId: string; credentialId: string; daysBefore: number; expiresAt: Date }

async function mailExpiry(tx: Transaction, deps: ControlDeps, told: Told): Promise<void> {
  if (!deps.mailKey) return
  const { orgId, appId, credentialId, daysBefore, expiresAt } = told
  const [named] = await tx
    .select({ credential: credentials.name, app: apps.name })
    .from(credentials)
    .innerJoin(apps, eq(apps.id, credentials.appId))
    .where(eq(credentials.id, credentialId))
  const facts = { credential: named?.credential ?? credentialId, app: named?.app ?? appId, daysBefore, expiresAt }
  const words = expiryLetter(deps.publicUrl, facts)
  await mailToRoles(tx, deps, { ...words, kind: 'credential.expires_soon', orgId, roles: ['owner', 'admin'] })
}
