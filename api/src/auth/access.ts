import { findOrgOf } from '@capstan/migrations'
import type { Context as HonoContext, MiddlewareHandler } from 'hono'
import { validate as isUuid } from 'uuid'
import type { Actor, Context, Deps } from '../context.js'
import { requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { authenticate, roleIn, type Principal } from './authenticate.js'
import { requireDevice } from './device-access.js'
import type { Scope } from './permissions.js'
import { requireLease, requireWorker, type Lease, type WorkerIdentity } from './worker-access.js'

/**
 * Who may call a route, and how its organization is found:
 * `app`, `job`, `organization`: by the id in the path (`appId`, `jobId`, `organizationId`), for a member with the scope.
 * `principal`: any signed-in person; the operation looks for itself. `device`: nobody needs to sign in, the app's
 * organization counts. `app-or-device`: as `app` with a token, as `device` without. `device-token`: the device of the app
 * in the path, by the token that was bound to it. `worker`, `lease`: build workers.
 */
export type Access =
  | { kind: 'public' }
  | { kind: 'principal' }
  | { kind: 'organization' | 'app' | 'job'; scope: Scope }
  | { kind: 'app-or-device'; scope: Scope }
  | { kind: 'device' }
  | { kind: 'device-token' }
  | { kind: 'worker' }
  | { kind: 'lease' }

export type Env = {
  Variables: {
    deps: Deps
    requestId: string
    principal: Principal
    ctx: Context
    worker: WorkerIdentity
    lease: Lease
  }
}

type C = HonoContext<Env>

export function access(who: Access): MiddlewareHandler<Env> {
  return async (c, next) => {
    await admit(c, who)
    await next()
  }
}

async function admit(c: C, who: Access): Promise<void> {
  const deps = c.get('deps')
  switch (who.kind) {
    case 'public':
      return
    case 'principal':
      c.set('principal', await authenticate(deps, c.req.header('authorization')))
      return
    case 'worker':
      c.set('worker', await requireWorker(deps, c.req.header('authorization')))
      return
    case 'lease': {
      const lease = await requireLease(deps, c.req.header('authorization'))
      c.set('lease', lease)
      c.set(
        'ctx',
        contextOf(c, lease.orgId, { type: 'worker', id: lease.workerId, via: { type: 'lease', id: lease.id } }),
      )
      return
    }
    case 'device':
      return admitDevice(c)
    case 'device-token': {
      const device = await requireDevice(deps, c.req.header('authorization'), c.req.param('appId'))
      c.set('ctx', contextOf(c, device.orgId, { type: 'device', id: device.deviceId }))
      return
    }
    case 'app-or-device':
      if (!c.req.header('authorization')) return admitDevice(c)
      return admitMember(c, () => orgOfPath(c, 'app'), who.scope)
    case 'organization':
    case 'app':
    case 'job':
      return admitMember(c, () => orgOfPath(c, who.kind), who.scope)
  }
}

/** From memory alone: a stranger who makes ids up costs no query. */
function admitDevice(c: C): void {
  const app = c.get('deps').published.find(c.req.param('appId') ?? '')
  if (!app) throw new Problem('not-found')
  c.set('ctx', contextOf(c, app.orgId, { type: 'device', id: 'anonymous' }))
}

/** The token is checked first: an anonymous caller learns nothing about ids. */
async function admitMember(c: C, findOrg: () => Promise<string>, scope: Scope): Promise<void> {
  const principal = await authenticate(c.get('deps'), c.req.header('authorization'))
  const orgId = await findOrg()
  c.set('principal', principal)
  c.set('ctx', await contextFor(c, principal, orgId))
  requireScope(c.get('ctx'), scope)
}

async function orgOfPath(c: C, kind: 'organization' | 'app' | 'job'): Promise<string> {
  const id = c.req.param(`${kind}Id`)
  if (!id || !isUuid(id)) throw new Problem('not-found')
  const orgId = kind === 'organization' ? id : await findOrgOf(c.get('deps').db, kind, id)
  if (!orgId) throw new Problem('not-found')
  return orgId
}

/** The context of a member; another organization's is 404, as if it did not exist. */
export async function contextFor(c: C, principal: Principal, orgId: string): Promise<Context> {
  const role = await roleIn(c.get('deps'), principal, orgId)
  if (!role) throw new Problem('not-found')
  const via =
    principal.kind === 'token'
      ? ({ type: 'token', id: principal.tokenId } as const)
      : ({ type: 'session', id: principal.sessionId } as const)
  return contextOf(c, orgId, { type: 'user', id: principal.userId, role, via })
}

function contextOf(c: C, orgId: string, actor: Actor): Context {
  return { ...c.get('deps'), orgId, actor, requestId: c.get('requestId') }
}
