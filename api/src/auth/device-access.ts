import { deviceTokens, withLookup } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'
import { bearerOf } from './authenticate.js'
import { hashToken, kindOf } from './tokens.js'

export type DeviceIdentity = { orgId: string; deviceId: string }

/** The device of an app behind a `cd_` token; another app's is not known here. */
export async function requireDevice(
  deps: Deps,
  authorization: string | undefined,
  appId: string | undefined,
): Promise<DeviceIdentity> {
  const token = bearerOf(authorization)
  if (kindOf(token) !== 'cd') throw new Problem('token-invalid')
  const tokenHash = hashToken(deps.pepper, token)
  const [row] = await withLookup(deps.db, tokenHash, (tx) =>
    tx.select().from(deviceTokens).where(eq(deviceTokens.tokenHash, tokenHash)),
  )
  if (!row || row.appId !== appId?.toLowerCase()) throw new Problem('token-invalid')
  return { orgId: row.orgId, deviceId: row.deviceId }
}
