import { mails, newId, type Transaction } from '@capstan/migrations'
import { type Letter, sealMail } from './seal-mail.js'

/** What it takes to leave a mail; without a key this server mails nothing. */
export type Mailing = { mailKey: Uint8Array | null; publicUrl: string; now: () => Date }

export type Post = Letter & {
  kind: string
  /** Whose account it is about. */
  userId?: string
  /** After that it is not sent any more. */
  withinMs?: number
}

const THREE_DAYS_MS = 3 * 24 * 60 * 60_000

/** Leaves a mail in this transaction: it is sent when that is committed, and never when it is not. */
export async function queueMail(tx: Transaction, { mailKey, now }: Mailing, post: Post): Promise<void> {
  if (!mailKey) return
  const { kind, userId = null, withinMs = THREE_DAYS_MS, to, subject, text } = post
  const id = newId()
  const sealed = sealMail(mailKey, id, { to, subject, text })
  await tx.insert(mails).values({ id, userId, kind, sealed, expiresAt: new Date(now().getTime() + withinMs) })
}
