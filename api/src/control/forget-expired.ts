import {
  apiTokens,
  deviceCodes,
  emailChanges,
  invitations,
  passwordResets,
  sessions,
  signInFlows,
  spentValues,
} from '@capstan/migrations'
import { and, isNotNull, lt, sql } from 'drizzle-orm'
import type { ControlDeps } from './control-deps.js'
import { forgetMails } from './send-mails.js'

/** Ended sessions stay for a month: the log names them. */
const SESSION_DAYS = 30
const INVITATION_DAYS = 30

/** Removes what is refused for its age anyway: what was spent, codes, mails that were sent, old sessions and invitations, tokens of CI jobs. */
export async function forgetExpired({ db }: ControlDeps): Promise<void> {
  await forgetMails({ db })
  await db.delete(passwordResets).where(lt(passwordResets.expiresAt, sql`now()`))
  await db.delete(emailChanges).where(lt(emailChanges.expiresAt, sql`now()`))
  await db.delete(spentValues).where(lt(spentValues.expiresAt, sql`now()`))
  await db.delete(deviceCodes).where(lt(deviceCodes.expiresAt, sql`now()`))
  await db.delete(signInFlows).where(lt(signInFlows.expiresAt, sql`now()`))
  await db.delete(sessions).where(lt(sessions.expiresAt, sql`now() - make_interval(days => ${SESSION_DAYS})`))
  const ofJobs = and(isNotNull(apiTokens.trustPolicyId), lt(apiTokens.expiresAt, sql`now() - interval '1 day'`))
  await db.delete(apiTokens).where(ofJobs)
  await db.delete(invitations).where(lt(invitations.expiresAt, sql`now() - make_interval(days => ${INVITATION_DAYS})`))
}
