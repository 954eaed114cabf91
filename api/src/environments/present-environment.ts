import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'
import type { Environment as Row } from './find-environment.js'

const Variable = z.object({ id: Id, key: z.string(), value: z.string() }).openapi('AppEnvironmentVariable')
/** A value is never shown again. */
const SecretName = z.object({ id: Id, key: z.string() }).openapi('AppEnvironmentSecret')

export const Environment = z
  .object({
    id: Id,
    appId: Id,
    name: z.string(),
    createdAt: Timestamp,
    updatedAt: Timestamp,
    createdBy: Id.nullable(),
    updatedBy: Id.nullable(),
    appEnvironmentVariables: z.array(Variable).optional(),
    appEnvironmentSecrets: z.array(SecretName).optional(),
  })
  .openapi('AppEnvironment')

export type LoadedEnvironment = {
  environment: Row
  variables?: { id: string; key: string; value: string }[]
  secrets?: { id: string; key: string }[]
}

export function presentEnvironment({
  environment,
  variables,
  secrets,
}: LoadedEnvironment): z.infer<typeof Environment> {
  return {
    id: environment.id,
    appId: environment.appId,
    name: environment.name,
    createdAt: environment.createdAt.toISOString(),
    updatedAt: environment.updatedAt.toISOString(),
    createdBy: environment.createdBy,
    updatedBy: environment.updatedBy,
    ...(variables && { appEnvironmentVariables: variables }),
    ...(secrets && { appEnvironmentSecrets: secrets }),
  }
}
