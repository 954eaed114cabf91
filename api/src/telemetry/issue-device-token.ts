import { deviceTokens, withOrg } from '@capstan/migrations'
import { createToken, hashToken } from '../auth/tokens.js'
import type { Context } from '../context.js'
import { limitRate } from '../limit-rate.js'
import { Problem } from '../problems.js'

export type IssueDeviceToken = { appId: string; deviceId: string }

/** New devices of an app, as many as are noted when they ask for updates. */
const admit = limitRate({ burst: 1_000, perSecond: 10 })

/**
 * Binds a device id to a token, given out once: nobody who learns the id later can report in its name. What is stored
 * is the token's HMAC.
 */
export async function issueDeviceToken(ctx: Context, input: IssueDeviceToken): Promise<string> {
  if (!admit(input.appId, ctx.now())) {
    throw new Problem('too-many-requests', 'Too many devices of this app ask for a token at once. Try again later.')
  }
  const token = createToken('cd')
  const issued = await withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .insert(deviceTokens)
      .values({
        orgId: ctx.orgId,
        appId: input.appId,
        deviceId: input.deviceId,
        tokenHash: hashToken(ctx.pepper, token),
        createdAt: ctx.now(),
        lastUsedAt: ctx.now(),
      })
      .onConflictDoNothing()
      .returning({ deviceId: deviceTokens.deviceId }),
  )
  if (issued.length > 0) return token
  throw new Problem(
    'device-token-taken',
    'This device has its token already. Delete the device in the app to let it ask anew.',
  )
}
