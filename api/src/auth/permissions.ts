import type { Role } from '@capstan/migrations'

/** The permission catalogue: what each role may do. Nothing that is not here is allowed. */
const read = [
  'organizations:read',
  'apps:read',
  'credentials:read',
  'builds:read',
  'environments:read',
  'git-connections:read',
  'channels:read',
  'bundles:read',
  'deployments:read',
  'devices:read',
] as const
const develop = [
  'builds:write',
  'environments:write',
  'channels:write',
  'bundles:write',
  'deployments:write',
  'devices:write',
] as const
const administer = [
  'apps:write',
  'credentials:write',
  'git-connections:write',
  'public-keys:write',
  'audit:read',
  'tokens:read',
  'tokens:write',
] as const
const own = ['organizations:write'] as const

export type Scope = (typeof read | typeof develop | typeof administer | typeof own)[number]

const catalogue: Record<Role, ReadonlySet<Scope>> = {
  viewer: new Set(read),
  developer: new Set([...read, ...develop]),
  approver: new Set([...read, 'audit:read']),
  admin: new Set([...read, ...develop, ...administer]),
  owner: new Set([...read, ...develop, ...administer, ...own]),
}

export function scopesOf(role: Role): ReadonlySet<Scope> {
  return catalogue[role]
}
