import { mails, openDatabase } from '@capstan/migrations'
import { asc, eq } from 'drizzle-orm'
import { openMail } from '../src/mails/seal-mail.js'
import type { Letter } from '../src/mails/seal-mail.js'
import type { Fixture } from './fixture.js'

export const MAIL_KEY = Buffer.from('0123456789abcdef0123456789abcdef')

/** What waits to be mailed to this address, oldest first, for a fixture with `MAIL_KEY`. */
export async function mailsTo(fixture: Fixture, address: string): Promise<Letter[]> {
  await using control = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 1 })
  const rows = await control.db.select().from(mails).where(eq(mails.status, 'pending')).orderBy(asc(mails.id))
  const letters = rows.map(({ id, sealed }) => openMail(MAIL_KEY, id, sealed ?? Buffer.alloc(0)))
  return letters.filter(({ to }) => to.toLowerCase() === address.toLowerCase())
}

/** The page that the newest mail to this address leads to, with its code. */
export async function linkTo(fixture: Fixture, address: string): Promise<{ link: string; secret: string }> {
  const page = /^(https?:\S+#(c[a-z]_[0-9A-Za-z]{36}))$/m
  const [, link, secret] = (await mailsTo(fixture, address)).map(({ text }) => page.exec(text)).findLast(Boolean) ?? []
  if (!link || !secret) throw new Error(`No mail to ${address} leads to a page.`)
  return { link, secret }
}
