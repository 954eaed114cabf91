import { deviceCodes, sessions, type Transaction } from '@capstan/migrations'
import { and, eq, isNull, ne } from 'drizzle-orm'
import { endDeviceCodes } from '../device-codes/end-device-codes.js'

export type EndAllSessions = { userId: string; at: Date; except?: string }

/** Ends every session of a person, also those that a command line waits for; answers how many. */
export async function endAllSessions(tx: Transaction, { userId, at, except }: EndAllSessions): Promise<number> {
  const others = except === undefined ? undefined : ne(sessions.id, except)
  const ended = await tx
    .update(sessions)
    .set({ revokedAt: at })
    .where(and(eq(sessions.userId, userId), others, isNull(sessions.revokedAt)))
    .returning({ id: sessions.id })
  await endDeviceCodes(tx, eq(deviceCodes.userId, userId))
  return ended.length
}
