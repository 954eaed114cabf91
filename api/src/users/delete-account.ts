import { eachOrgOf, invitations, type Transaction, users, withUser } from '@capstan/migrations'
import { eq, or, sql } from 'drizzle-orm'
import { requireFreshSelf, type Self } from '../auth/self.js'
import { leave } from '../members/leave-organization.js'
import { Problem } from '../problems.js'
import { findFactors, hasFactor } from '../second-factors/find-factors.js'

/**
 * Takes the person out of every organization and erases what is theirs: address, name, password, factors, sessions, tokens
 * and mails that wait. All of it or nothing. Logs keep an id that leads to nobody.
 */
export async function deleteAccount(self: Self): Promise<void> {
  const { userId } = self.session
  await withUser(self.db, userId, async (tx) => {
    requireFreshSelf(self, hasFactor(await findFactors(tx, userId)))
    const [person] = await tx.select({ email: users.email }).from(users).where(eq(users.id, userId)).for('update')
    if (!person) throw new Problem('token-invalid')
    const ownedAlone: string[] = []
    await eachOrgOf(tx, userId, async (orgId) => {
      if (!(await leaves(tx, self, orgId))) {
        ownedAlone.push(orgId)
        return
      }
      const isOfPerson = or(
        eq(invitations.acceptedBy, userId),
        eq(sql`lower(${invitations.email})`, person.email.toLowerCase()),
      )
      await tx.delete(invitations).where(isOfPerson)
    })
    if (ownedAlone.length > 0) {
      const ways = 'Make somebody else an owner there, or end the organization, first.'
      throw new Problem('sole-owner', `You are the only owner of ${ownedAlone.join(', ')}. ${ways}`)
    }
    await tx.delete(users).where(eq(users.id, userId))
  })
}

/** False: nobody else owns it. What was begun of it is undone with the whole. */
async function leaves(tx: Transaction, self: Self, orgId: string): Promise<boolean> {
  try {
    await leave(tx, self, orgId)
    return true
  } catch (error) {
    if (error instanceof Problem && error.code === 'last-owner') return false
    throw error
  }
}
