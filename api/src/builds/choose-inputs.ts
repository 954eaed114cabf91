import {
  apps,
  environments,
  environmentVariables,
  type NativeNames,
  nativeConfigurations,
  sealedValues,
  type Transaction,
} from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { Problem } from '../problems.js'

type Choice = { appId: string; id?: string | null | undefined; name?: string | null | undefined }

export type ChosenEnvironment = { id: string; variables: Record<string, string>; hasSecrets: boolean }

/**
 * The environment that was asked for, by id or by name, else the app's own. Its variables are taken as they are now; its
 * secrets stay where they are until the build asks for them. The row is held, so that it is not deleted before the build
 * stands.
 */
export async function chooseEnvironment(tx: Transaction, choice: Choice): Promise<ChosenEnvironment | null> {
  const id = choice.id ?? (choice.name ? null : await defaultEnvironment(tx, choice.appId))
  if (!id && !choice.name) return null
  const which = id ? eq(environments.id, id) : eq(environments.nameLower, (choice.name ?? '').trim().toLowerCase())
  const [found] = await tx
    .select({ id: environments.id })
    .from(environments)
    .where(and(eq(environments.appId, choice.appId), which))
    .for('share')
  if (!found) {
    const label = choice.id ? `id "${choice.id}"` : `name "${choice.name}"`
    throw new Problem('environment-unknown', `Environment with ${label} not found.`)
  }
  const rows = await tx
    .select({ key: environmentVariables.key, value: environmentVariables.value })
    .from(environmentVariables)
    .where(eq(environmentVariables.environmentId, found.id))
  return {
    id: found.id,
    variables: Object.fromEntries(rows.map(({ key, value }) => [key, value])),
    hasSecrets: (await tx.$count(sealedValues, eq(sealedValues.environmentId, found.id))) > 0,
  }
}

async function defaultEnvironment(tx: Transaction, appId: string): Promise<string | null> {
  const [app] = await tx.select({ id: apps.appEnvironmentId }).from(apps).where(eq(apps.id, appId))
  return app?.id ?? null
}

/** The native configuration that was asked for; what it says now is what the build is given. */
export async function chooseConfiguration(
  tx: Transaction,
  { appId, id, name }: Choice,
): Promise<{ id: string; native: NativeNames } | null> {
  if (!id && !name) return null
  const which = id
    ? eq(nativeConfigurations.id, id)
    : eq(nativeConfigurations.nameLower, (name ?? '').trim().toLowerCase())
  const [found] = await tx
    .select()
    .from(nativeConfigurations)
    .where(and(eq(nativeConfigurations.appId, appId), which))
    .for('share')
  if (!found) {
    const label = id ? `id "${id}"` : `name "${name}"`
    throw new Problem('configuration-unknown', `Configuration with ${label} not found.`)
  }
  const { displayName, packageName } = found
  return { id: found.id, native: { ...(displayName && { displayName }), ...(packageName && { packageName }) } }
}
