import { organizations, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import type { CanonicalValue } from '../audit/canonical-json.js'
import { recordAudit } from '../audit/record-audit.js'
import { acceptNetworks, networksOf } from '../auth/client-address.js'
import { requireStepUp } from '../auth/step-up.js'
import { type Approval, requireApproval } from '../change-requests/require-approval.js'
import { spendApproval } from '../change-requests/spend-approval.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

type Row = typeof organizations.$inferSelect
type Settings = Pick<
  Row,
  | 'name'
  | 'webCertificatesAllowed'
  | 'twoFactorRequired'
  | 'stepUpRequired'
  | 'ipAllowlist'
  | 'countryAllowlist'
  | 'artifactRetentionDays'
>
export type UpdateOrganization = { [Key in keyof Settings]?: Settings[Key] | undefined }

const POLICIES = ['twoFactorRequired', 'stepUpRequired', 'ipAllowlist', 'countryAllowlist'] as const

/** Renames an organization, or changes what it allows and demands. Policies need a fresh second factor. */
export async function updateOrganization(ctx: Context, input: UpdateOrganization, address: string | null) {
  requireScope(ctx, 'organizations:write')
  if (POLICIES.some((key) => input[key] !== undefined)) {
    requireScope(ctx, 'policies:write')
    requireStepUp(ctx.assurance, ctx.now())
  }
  const wanted = acceptSettings(ctx, input, address)
  const approval = await approveRetention(ctx, wanted)
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [before] = await tx.select().from(organizations).where(eq(organizations.id, ctx.orgId)).for('update')
    if (!before) throw new Problem('not-found')
    const changes = changesBetween(before, wanted)
    if (Object.keys(changes).length === 0) return before
    const [after] = await tx
      .update(organizations)
      .set({ ...wanted, updatedAt: ctx.now() })
      .where(eq(organizations.id, ctx.orgId))
      .returning()
    if (!after) throw new Problem('not-found')
    if (changes.artifactRetentionDays !== undefined) {
      if (approval === null)
        throw new Problem('request-conflict', 'The retention was changed at the same time. Look again.')
      const entity = `organization-retention/${ctx.orgId}`
      changes.approval = await spendApproval(tx, ctx, approval, { entity })
    }
    const { name = null, ipAllowlist = null, ...data } = changes
    await recordAudit(tx, ctx, {
      action: 'organization.updated',
      target: { organization: ctx.orgId },
      data,
      personal: { name, ipAllowlist },
    })
    return after
  })
}

/** How long files are kept is a guarded setting, up and down; what does not change it needs nobody. */
async function approveRetention(ctx: Context, { artifactRetentionDays }: Partial<Settings>): Promise<Approval | null> {
  if (artifactRetentionDays === undefined) return null
  const [now] = await withOrg(ctx.db, ctx.orgId, (tx) =>
    tx.select({ days: organizations.artifactRetentionDays }).from(organizations).where(eq(organizations.id, ctx.orgId)),
  )
  if (now?.days === artifactRetentionDays) return null
  return requireApproval(ctx, {
    action: 'organization.retention',
    subject: { organization: ctx.orgId },
    effect: { artifactRetentionDays },
  })
}

/** What was sent, without what was not; a list that leaves its author out is refused. */
function acceptSettings(ctx: Context, input: UpdateOrganization, address: string | null): Partial<Settings> {
  const wanted = Object.fromEntries(
    Object.entries(input).filter(([, value]) => value !== undefined),
  ) as Partial<Settings>
  if (wanted.ipAllowlist) wanted.ipAllowlist = acceptOwnNetworks(wanted.ipAllowlist, address)
  if (wanted.countryAllowlist) wanted.countryAllowlist = acceptCountries(ctx, wanted.countryAllowlist, address)
  return wanted
}

function acceptCountries({ countryOf }: Context, texts: readonly string[], address: string | null): string[] {
  if (countryOf === null) {
    const why = 'This server has no database of the countries of addresses. Use "ipAllowlist" instead.'
    throw new Problem('country-list-unavailable', why)
  }
  const countries = [...new Set(texts.map((text) => text.toUpperCase()))]
  const own = countryOf(address)
  if (own !== null && countries.includes(own)) return countries
  const whose =
    own === null ? `is not known to be of any country (${address})` : `is of ${own}, which is not in the list`
  throw new Problem('policy-locks-out', `Your own address ${whose}: you could not come back.`)
}

function acceptOwnNetworks(texts: readonly string[], address: string | null): string[] {
  const ipAllowlist = acceptNetworks(texts)
  if (!networksOf(ipAllowlist).includes(address)) {
    const whose = address ? `Your own address ${address}` : 'Your own address, which is not known here,'
    throw new Problem('policy-locks-out', `${whose} is not in the list: add it, or you could not come back.`)
  }
  return ipAllowlist
}

function changesBetween(before: Row, wanted: Partial<Settings>): Record<string, CanonicalValue> {
  const entries = Object.entries(wanted) as [keyof Settings, CanonicalValue][]
  return Object.fromEntries(
    entries
      .filter(([key, value]) => JSON.stringify(before[key]) !== JSON.stringify(value))
      .map(([key, value]) => [key, { from: before[key], to: value }]),
  )
}
