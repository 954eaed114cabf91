import { jobs, type Transaction } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { Problem } from '../problems.js'

export async function findJob(tx: Transaction, jobId: string): Promise<typeof jobs.$inferSelect> {
  const [job] = await tx.select().from(jobs).where(eq(jobs.id, jobId))
  if (!job) throw new Problem('not-found')
  return job
}
