import { builds, bundles, newId, withOrg, type Transaction } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import { takeBuildNumber } from '../builds/take-build-number.js'
import { requireChannel } from '../channels/queries.js'
import { type Context, requireScope } from '../context.js'
import { deployBundle } from '../deployments/deploy-bundle.js'
import { Problem } from '../problems.js'
import { checkSignatureText } from './check-signature.js'
import type { Bundle } from './queries.js'

export type CreateBundle = {
  appId: string
  artifactType: 'zip' | 'manifest'
  channelName?: string | undefined
  checksum?: string | undefined
  signature?: string | undefined
  /** Where the customer keeps the bundle; without it the files are uploaded here. */
  url?: string | undefined
  rolloutPercentage: number
  constraints: Record<string, string>
  customProperties: Record<string, string>
  git: Record<string, string>
}

/**
 * Opens a bundle and the web build it belongs to. With `url` it is complete at once; otherwise its files follow.
 * Without a channel it is only kept: nothing is deployed.
 */
export async function createBundle(
  ctx: Context,
  input: CreateBundle,
): Promise<{ bundle: Bundle; deploymentId: string | null }> {
  requireScope(ctx, 'bundles:write')
  checkDeclaration(input)
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    if (input.channelName !== undefined) {
      await requireChannel(tx, input.appId, { name: input.channelName }, { lock: input.url !== undefined })
    }
    const buildId = await insertBuild(tx, ctx, input)
    const [bundle] = await tx
      .insert(bundles)
      .values({
        id: newId(),
        orgId: ctx.orgId,
        appId: input.appId,
        buildId,
        artifactType: input.artifactType,
        channelName: input.channelName ?? null,
        rolloutPercentage: input.rolloutPercentage,
        checksum: input.checksum ?? null,
        signature: input.signature ?? null,
        url: input.url ?? null,
        status: input.url === undefined ? 'pending' : 'ready',
        readyAt: input.url === undefined ? null : ctx.now(),
        createdBy: ctx.actor.id,
      })
      .returning()
    if (!bundle) throw new Error('The bundle was not inserted.')
    await recordAudit(tx, ctx, {
      action: 'bundle.created',
      target: { app: input.appId, build: buildId, bundle: bundle.id },
      data: { artifactType: bundle.artifactType, hosted: input.url === undefined },
    })
    if (bundle.url === null || bundle.channelName === null) return { bundle, deploymentId: null }
    const deployment = await deployBundle(tx, ctx, {
      bundle,
      channel: { name: bundle.channelName },
      rolloutPercentage: bundle.rolloutPercentage,
      // Bytes that lie elsewhere were seen by nobody here: that a signature is named proves nothing.
      signed: false,
      // So no protected channel takes it, with or without an approval.
      approval: null,
    })
    return { bundle, deploymentId: deployment.id }
  })
}

function checkDeclaration({ url, checksum, signature }: CreateBundle): void {
  if (url === undefined) {
    if (checksum === undefined && signature === undefined) return
    throw new Problem(
      'request-invalid',
      'checksum and signature belong to a bundle with url; otherwise send them with each file.',
    )
  }
  const { protocol, hostname, username, password } = new URL(url)
  const local = ['localhost', '127.0.0.1', '[::1]'].includes(hostname)
  if (protocol !== 'https:' && !(protocol === 'http:' && local)) {
    throw new Problem('request-invalid', 'url: devices load bundles over https only. Give an https address.')
  }
  if (username || password)
    throw new Problem('request-invalid', 'url: leave the password out; every device would learn it.')
  if (signature !== undefined) checkSignatureText(signature)
}

async function insertBuild(tx: Transaction, ctx: Context, input: CreateBundle): Promise<string> {
  const id = newId()
  await tx.insert(builds).values({
    id,
    orgId: ctx.orgId,
    appId: input.appId,
    number: await takeBuildNumber(tx, input.appId),
    platform: 'web',
    constraints: input.constraints,
    customProperties: input.customProperties,
    git: input.git,
    createdBy: ctx.actor.id,
  })
  return id
}
