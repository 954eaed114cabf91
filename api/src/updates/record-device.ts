import { type channels, devices, type Transaction } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { validate as isUuid } from 'uuid'
import type { Context } from '../context.js'
import { admitNewDevice } from './admit-new-device.js'
import type { Candidate } from './choose-deployment.js'
import type { CheckForUpdate } from './check-for-update.js'

/** Writes down what a device said about itself. A forced channel is ours and stays. */
export async function recordDevice(
  tx: Transaction,
  ctx: Context,
  input: CheckForUpdate,
  known: { requested: typeof channels.$inferSelect | null; found: Candidate | null },
): Promise<void> {
  if (input.deviceId === null) return
  const bundleId = input.bundleId !== null && isUuid(input.bundleId) ? input.bundleId.toLowerCase() : null
  const facts = {
    platform: input.platform,
    osVersion: input.osVersion,
    appVersionCode: input.appVersionCode,
    appVersionName: input.appVersionName,
    pluginVersion: input.pluginVersion,
    customId: input.customId,
    appChannelId: known.requested?.id ?? null,
    // A device that runs what it was offered is on that deployment.
    appDeploymentId: bundleId !== null && known.found?.bundle.id === bundleId ? known.found.deployment.id : null,
    bundleId,
    lastSeenAt: ctx.now(),
  }
  const [there] = await tx
    .update(devices)
    .set(facts)
    .where(and(eq(devices.appId, input.appId), eq(devices.id, input.deviceId)))
    .returning({ id: devices.id })
  if (there || !admitNewDevice(input.appId, ctx.now())) return
  await tx
    .insert(devices)
    .values({ orgId: ctx.orgId, appId: input.appId, id: input.deviceId, ...facts })
    .onConflictDoUpdate({ target: [devices.appId, devices.id], set: facts })
}
