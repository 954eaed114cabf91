import { memberships, type Role, type Transaction, users } from '@capstan/migrations'
import { and, eq, inArray, isNull } from 'drizzle-orm'
import { accountLetter } from './letters.js'
import { type Mailing, type Post, queueMail } from './queue-mail.js'

const MOST = 50

/** Inside `withOrg`: to the people of these roles, each in a mail of their own. */
export async function mailToRoles(
  tx: Transaction,
  mailing: Mailing,
  { orgId, roles, ...post }: Omit<Post, 'to'> & { orgId: string; roles: readonly Role[] },
): Promise<void> {
  if (!mailing.mailKey) return
  const people = await tx
    .select({ id: users.id, email: users.email })
    .from(memberships)
    .innerJoin(users, eq(users.id, memberships.userId))
    .where(and(eq(memberships.orgId, orgId), inArray(memberships.role, [...roles]), isNull(memberships.suspendedAt)))
    .orderBy(users.id)
    .limit(MOST)
  for (const { id, email } of people) await queueMail(tx, mailing, { ...post, userId: id, to: email })
}

/** Inside `withUser`: to the person whose account was changed. */
export async function mailOwnChange(
  tx: Transaction,
  mailing: Mailing,
  { userId, action }: { userId: string; action: string },
): Promise<void> {
  const words = mailing.mailKey ? accountLetter(mailing.publicUrl, { action, at: mailing.now() }) : null
  if (!words) return
  const [person] = await tx.select({ email: users.email }).from(users).where(eq(users.id, userId))
  if (person) await queueMail(tx, mailing, { ...words, kind: action, userId, to: person.email })
}
