import { appPublicKeys, appRoots, type Transaction } from '@capstan/migrations'
import { decodeBase64, importReleaseKey, parseRootStatement, type RootStatement, trustOf } from '@capstan/sdk/release'
import { and, desc, eq, isNull } from 'drizzle-orm'

export type AppRoot = typeof appRoots.$inferSelect

/** The root statement that is current; null while the keys compiled into the app are. */
export async function findNewestRoot(tx: Transaction, appId: string): Promise<AppRoot | null> {
  const [newest] = await tx
    .select()
    .from(appRoots)
    .where(eq(appRoots.appId, appId))
    .orderBy(desc(appRoots.version))
    .limit(1)
  return newest ?? null
}

/** What a stored root says. Its signatures were checked before it was stored. */
export function readRootClaims({ envelope }: Pick<AppRoot, 'envelope'>): RootStatement {
  const payload = typeof envelope.payload === 'string' ? decodeBase64(envelope.payload) : null
  if (!payload) throw new Error('A stored root envelope is damaged.')
  return parseRootStatement(payload)
}

/** Whom a device that knows every stored root believes; before the first, the registered keys stand for the compiled-in. */
export async function loadRootTrust(tx: Transaction, appId: string) {
  const newest = await findNewestRoot(tx, appId)
  if (newest) return trustOf(readRootClaims(newest))
  const registered = await tx
    .select({ pem: appPublicKeys.pem })
    .from(appPublicKeys)
    .where(and(eq(appPublicKeys.appId, appId), isNull(appPublicKeys.revokedAt)))
  const releaseKeys = await Promise.all(registered.map(({ pem }) => importReleaseKey(pem)))
  return { releaseKeys, platformKeys: [], rootVersion: 1, revokedBundleIds: [] }
}
