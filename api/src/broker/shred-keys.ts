import { apps, credentials, environments, gitConnections, type Transaction, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { z } from 'zod'

import type { BrokerDeps } from './broker-deps.js'

/** `POST /shred` on the `seal` socket: the end of all secrets of an environment, a git connection or an app's builds. */
export const ShredRequest = z.strictObject({
  org: z.uuid(),
  kind: z.enum(['environment', 'git-connection', 'app']),
  id: z.uuid(),
})
export type ShredRequest = z.infer<typeof ShredRequest>

/**
 * Destroys the key under which an owner's secrets lie. False for an owner that the organization does not have, and for
 * the id of a signing credential: those are destroyed with a certificate, never by this door.
 */
export async function shredKeys({ db, keys }: BrokerDeps, { org, kind, id }: ShredRequest): Promise<boolean> {
  const mayShred = await withOrg(db, org, async (tx) => {
    if ((await tx.$count(credentials, eq(credentials.id, id))) > 0) return false
    return exists(tx, kind, id)
  })
  if (mayShred) await keys.destroyCredential({ org, credential: id })
  return mayShred
}

async function exists(tx: Transaction, kind: ShredRequest['kind'], id: string): Promise<boolean> {
  if (kind === 'environment') return (await tx.$count(environments, eq(environments.id, id))) > 0
  if (kind === 'git-connection') return (await tx.$count(gitConnections, eq(gitConnections.id, id))) > 0
  return (await tx.$count(apps, eq(apps.id, id))) > 0
}
