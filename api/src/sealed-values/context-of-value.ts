import type { EnvelopeContext } from '../vault/envelope-context.js'

/** A secret that is no signing key, as its row names it. */
export type ValueIdentity = {
  id: string
  orgId: string
  appId: string | null
  environmentId: string | null
  buildId: string | null
  gitConnectionId: string | null
  name: string
}

/** What the envelope of a sealed value belongs to; moved to another row, name or owner it does not open. */
export function contextOfValue(value: ValueIdentity): EnvelopeContext {
  const { id, orgId: org, appId, name } = value
  const version = '1'
  if (value.environmentId !== null && appId !== null) {
    return { org, app: appId, credential: value.environmentId, kind: `environment-secret:${id}:${name}`, version }
  }
  if (value.buildId !== null && appId !== null) {
    return { org, app: appId, credential: appId, kind: `build-variables:${id}:${value.buildId}`, version }
  }
  if (value.gitConnectionId === null) throw new Error(`Sealed value ${id} has no owner.`)
  return { org, app: org, credential: value.gitConnectionId, kind: `git-connection:${id}`, version }
}
