import type { Role } from '@capstan/migrations'

/** The permission catalogue: what each role may do. Nothing that is not here is allowed. */
const read = [
  'organizations:read',
  'members:read',
  'apps:read',
  'credentials:read',
  'builds:read',
  'environments:read',
  'git-connections:read',
  'channels:read',
  'bundles:read',
  'deployments:read',
  'devices:read',
  'change-requests:read',
] as const
const develop = [
  'builds:write',
  'environments:write',
  'channels:write',
  'bundles:write',
  'deployments:write',
  'devices:write',
  'change-requests:write',
] as const
const administer = [
  'apps:write',
  'credentials:write',
  'git-connections:write',
  'public-keys:write',
  'webhooks:read',
  'webhooks:write',
  'audit:read',
  'tokens:read',
  'tokens:write',
  'members:write',
  'access:read',
  'support:read',
] as const
/** Roles that have it are also named by `approves()` in the database. */
const approve = ['change-requests:approve'] as const
const own = [
  'organizations:write',
  'organizations:terminate',
  'policies:write',
  'support:write',
  'audit:erase',
] as const

/** Of a role in a single app these count, for that app; the rest is of the whole organization. */
export const appScopes: ReadonlySet<Scope> = new Set([
  'apps:read',
  'apps:write',
  'credentials:read',
  'credentials:write',
  'builds:read',
  'environments:read',
  'channels:read',
  'bundles:read',
  'deployments:read',
  'devices:read',
  'public-keys:write',
  'webhooks:read',
  'webhooks:write',
  'change-requests:read',
  ...develop,
])

/** Of a role on a single channel these count, for that channel. */
export const channelScopes: ReadonlySet<Scope> = new Set([
  'channels:read',
  'channels:write',
  'deployments:read',
  'deployments:write',
])

const scopes = [...read, ...develop, ...administer, ...approve, ...own] as const
export type Scope = (typeof scopes)[number]

/** Whoever has one of these can give itself every other: a token gets them only from a person with a fresh second factor. */
export const sensitiveScopes: ReadonlySet<Scope> = new Set([
  'tokens:write',
  'members:write',
  'organizations:write',
  'policies:write',
  'support:write',
  'change-requests:approve',
])

const catalogue: Record<Role, ReadonlySet<Scope>> = {
  none: new Set(),
  viewer: new Set(read),
  member: new Set([...read, ...develop]),
  approver: new Set([...read, ...approve, 'audit:read', 'access:read']),
  billing: new Set(['organizations:read', 'members:read']),
  admin: new Set([...read, ...develop, ...administer, ...approve]),
  owner: new Set([...read, ...develop, ...administer, ...approve, ...own]),
}

export function scopesOf(role: Role): ReadonlySet<Scope> {
  return catalogue[role]
}

/** Whether who has the role `larger` may do all that the role `smaller` allows. */
export function includesRole(larger: Role, smaller: Role): boolean {
  return [...catalogue[smaller]].every((scope) => catalogue[larger].has(scope))
}

export function isScope(text: string): text is Scope {
  return (scopes as readonly string[]).includes(text)
}
