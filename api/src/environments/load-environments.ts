import { environmentVariables, sealedValues, type Transaction } from '@capstan/migrations'
import { asc, inArray } from 'drizzle-orm'
import type { Environment } from './find-environment.js'
import type { LoadedEnvironment } from './present-environment.js'

/** Adds what `relations` names: variables with their values, secrets by name alone. */
export async function loadEnvironments(
  tx: Transaction,
  rows: Environment[],
  relations: ReadonlySet<string>,
): Promise<LoadedEnvironment[]> {
  const ids = rows.map(({ id }) => id)
  if (ids.length === 0) return []
  const variables = relations.has('appEnvironmentVariables') ? await loadVariables(tx, ids) : undefined
  const secrets = relations.has('appEnvironmentSecrets') ? await loadSecretNames(tx, ids) : undefined
  const of = <T extends { owner: string | null }>(list: T[], id: string) =>
    list.flatMap(({ owner, ...rest }) => (owner === id ? [rest] : []))
  return rows.map((environment) => ({
    environment,
    ...(variables && { variables: of(variables, environment.id) }),
    ...(secrets && { secrets: of(secrets, environment.id) }),
  }))
}

function loadVariables(tx: Transaction, ids: string[]) {
  const { id, key, value, environmentId: owner } = environmentVariables
  return tx
    .select({ id, key, value, owner })
    .from(environmentVariables)
    .where(inArray(environmentVariables.environmentId, ids))
    .orderBy(asc(environmentVariables.key))
}

function loadSecretNames(tx: Transaction, ids: string[]) {
  const { id, name: key, environmentId: owner } = sealedValues
  return tx
    .select({ id, key, owner })
    .from(sealedValues)
    .where(inArray(sealedValues.environmentId, ids))
    .orderBy(asc(sealedValues.name))
}
