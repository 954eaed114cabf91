import { mails } from '@capstan/migrations'
import { and, asc, eq, isNotNull, lt, lte, sql } from 'drizzle-orm'
import type { Mailer } from '../mails/open-mailer.js'
import { openMail } from '../mails/seal-mail.js'
import type { ControlDeps } from './control-deps.js'

type Needed = Pick<ControlDeps, 'db' | 'now' | 'log'>
type Mail = typeof mails.$inferSelect

const MOST_AT_ONCE = 50
const SIDE_BY_SIDE = 5
const MOST_ATTEMPTS = 12
const FIRST_WAIT_MS = 30_000
const LONGEST_WAIT_MS = 6 * 60 * 60_000
/** Longer than an attempt can take: so long nobody else tries. */
const CLAIM_MS = 5 * 60_000
const KEPT_DAYS = 30

/**
 * Sends what was left. A mail is claimed first and settled after; whoever dies between a server's yes and that sends it a
 * second time, under the same Message-ID.
 */
export async function sendMails(deps: Needed, mailer: Mailer | null, key: Uint8Array | null): Promise<number> {
  if (!mailer || !key) return 0
  await giveUpExpired(deps)
  const due = await deps.db
    .select({ id: mails.id })
    .from(mails)
    .where(and(eq(mails.status, 'pending'), lte(mails.nextAttemptAt, deps.now())))
    .orderBy(asc(mails.nextAttemptAt))
    .limit(MOST_AT_ONCE)
  let sent = 0
  for (let from = 0; from < due.length; from += SIDE_BY_SIDE) {
    const some = due.slice(from, from + SIDE_BY_SIDE)
    const outcomes = await Promise.all(some.map(({ id }) => sendOne(deps, { mailer, key }, id)))
    sent += outcomes.filter(Boolean).length
  }
  return sent
}

async function sendOne(deps: Needed, { mailer, key }: { mailer: Mailer; key: Uint8Array }, id: string) {
  const [mail] = await deps.db
    .update(mails)
    .set({
      attempts: sql`${mails.attempts} + 1`,
      nextAttemptAt: new Date(deps.now().getTime() + CLAIM_MS),
    })
    .where(and(eq(mails.id, id), eq(mails.status, 'pending'), lte(mails.nextAttemptAt, deps.now())))
    .returning()
  if (!mail) return false
  const { failure, permanent } = await hand(deps, { mailer, key }, mail)
  const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (mail.attempts - 1))
  const isOver = failure === null || permanent || mail.attempts >= MOST_ATTEMPTS
  await deps.db
    .update(mails)
    .set({
      lastFailure: failure,
      ...(isOver
        ? { status: failure === null ? 'sent' : 'failed', sealed: null, settledAt: deps.now() }
        : { nextAttemptAt: new Date(deps.now().getTime() + waitMs) }),
    })
    .where(and(eq(mails.id, id), eq(mails.attempts, mail.attempts), eq(mails.status, 'pending')))
  if (failure !== null) deps.log.warn({ mail: id, kind: mail.kind, failure, isOver }, 'a mail was not sent')
  return failure === null
}

async function hand(deps: Needed, { mailer, key }: { mailer: Mailer; key: Uint8Array }, mail: Mail) {
  if (mail.sealed === null) return { failure: 'It holds nothing.', permanent: true }
  try {
    return await mailer.send(mail.id, openMail(key, mail.id, mail.sealed))
  } catch (error) {
    deps.log.error({ err: error, mail: mail.id }, 'a mail is not readable')
    return { failure: 'It cannot be read with this key.', permanent: false }
  }
}

async function giveUpExpired({ db, now }: Needed): Promise<void> {
  await db
    .update(mails)
    .set({ status: 'failed', sealed: null, settledAt: now(), lastFailure: 'Its time was over.' })
    .where(and(eq(mails.status, 'pending'), lt(mails.expiresAt, now())))
}

/** What was sent a month ago leaves no trace here. */
export async function forgetMails({ db }: Pick<ControlDeps, 'db'>): Promise<void> {
  const isOld = lt(mails.settledAt, sql`now() - make_interval(days => ${KEPT_DAYS})`)
  await db.delete(mails).where(and(isNotNull(mails.settledAt), isOld))
}
