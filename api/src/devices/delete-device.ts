import { devices, deviceTokens, withOrg } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

/** Forgets a device and its token; it appears again when it next asks for an update. */
export async function deleteDevice(ctx: Context, input: { appId: string; deviceId: string }): Promise<void> {
  requireScope(ctx, 'devices:write')
  await ctx.checkIns.flush(input.appId)
  await withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [gone] = await tx
      .delete(devices)
      .where(and(eq(devices.appId, input.appId), eq(devices.id, input.deviceId)))
      .returning({ id: devices.id })
    if (!gone) throw new Problem('not-found', 'This app has no such device.')
    await tx
      .delete(deviceTokens)
      .where(and(eq(deviceTokens.appId, input.appId), eq(deviceTokens.deviceId, input.deviceId)))
    await recordAudit(tx, ctx, { action: 'device.deleted', target: { app: input.appId, device: gone.id } })
  })
}
