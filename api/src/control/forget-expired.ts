import { deviceCodes, invitations, sessions, spentValues } from '@capstan/migrations'
import { lt, sql } from 'drizzle-orm'
import type { ControlDeps } from './control-deps.js'

/** Ended sessions stay for a month: the log names them. */
const SESSION_DAYS = 30
const INVITATION_DAYS = 30

/** Removes what is refused for its age anyway: values that were spent, codes of sign-ins, old sessions and invitations. */
export async function forgetExpired({ db }: ControlDeps): Promise<void> {
  await db.delete(spentValues).where(lt(spentValues.expiresAt, sql`now()`))
  await db.delete(deviceCodes).where(lt(deviceCodes.expiresAt, sql`now()`))
  await db.delete(sessions).where(lt(sessions.expiresAt, sql`now() - make_interval(days => ${SESSION_DAYS})`))
  await db.delete(invitations).where(lt(invitations.expiresAt, sql`now() - make_interval(days => ${INVITATION_DAYS})`))
}
