import { findOrgOf } from '@capstan/migrations'
import type { Context as HonoContext, MiddlewareHandler } from 'hono'
import { validate as isUuid } from 'uuid'
import type { Actor, Context, Deps } from '../context.js'
import { requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { authenticate, standingIn, type Principal, type Standing } from './authenticate.js'
import { networksOf } from './client-address.js'
import { requireDevice } from './device-access.js'
import { noteStranger } from './note-stranger.js'
import { isScope, type Scope, scopesOf } from './permissions.js'
import { requireStepUp, type StepUp, stepUpOf } from './step-up.js'
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
  | { kind: 'organization' | 'app' | 'job'; scope: Scope; stepUp?: StepUp }
  | { kind: 'app-or-device'; scope: Scope }
  | { kind: 'device' }
  | { kind: 'device-token' }
  | { kind: 'worker' }
  | { kind: 'lease' }

export type Env = {
  Variables: {
    deps: Deps
    requestId: string
    /** Null when it is not known, which no allow-list includes. */
    address: string | null
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
      return admitPrincipal(c)
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
      return admitMember(c, () => orgOfPath(c, 'app'), who)
    case 'organization':
    case 'app':
    case 'job':
      return admitMember(c, () => orgOfPath(c, who.kind), who)
  }
}

/** A token is bound to its networks, and to its organization's, also where no organization is asked about. */
async function admitPrincipal(c: C): Promise<void> {
  const principal = await authenticate(c.get('deps'), c.req.header('authorization'))
  if (principal.kind === 'token') await contextFor(c, principal, principal.orgId)
  c.set('principal', principal)
}

/** From memory alone: a stranger who makes ids up costs no query. */
function admitDevice(c: C): void {
  const app = c.get('deps').published.find(c.req.param('appId') ?? '')
  if (!app) throw new Problem('not-found')
  c.set('ctx', contextOf(c, app.orgId, { type: 'device', id: 'anonymous' }))
}

/** The token is checked first: an anonymous caller learns nothing about ids. */
async function admitMember(
  c: C,
  findOrg: () => Promise<string>,
  who: { scope: Scope; stepUp?: StepUp },
): Promise<void> {
  const principal = await authenticate(c.get('deps'), c.req.header('authorization'))
  const orgId = await findOrg()
  c.set('principal', principal)
  const ctx = await contextFor(c, principal, orgId)
  c.set('ctx', ctx)
  requireScope(ctx, who.scope)
  requireStepUp(ctx.assurance, ctx.now(), who.stepUp ?? stepUpOf(who.scope))
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
  const standing = await standingIn(c.get('deps'), principal, orgId)
  if (!standing) {
    noteStranger(c.get('deps'), principal, { orgId, requestId: c.get('requestId') })
    throw new Problem('not-found')
  }
  refuseByPolicy(standing, principal, c.get('address'))
  const via =
    principal.kind === 'token'
      ? ({ type: 'token', id: principal.tokenId } as const)
      : ({ type: 'session', id: principal.sessionId } as const)
  const { role } = standing
  const actor = { type: 'user', id: principal.userId, via, scopes: scopesFor(principal, standing) } as const
  return {
    ...contextOf(c, orgId, role ? { ...actor, role } : actor),
    assurance: {
      kind: principal.kind,
      secondFactorAt: principal.kind === 'session' ? principal.secondFactorAt : null,
      stepUpRequired: standing.stepUpRequired,
    },
    stillAdmitted: () => isStillAdmitted(c, orgId),
  }
}

/** A token has what it was given, as far as its owner still has it; a service token has no owner to lose it with. */
function scopesFor(principal: Principal, { role }: Standing): ReadonlySet<Scope> {
  const ofRole = role ? scopesOf(role) : null
  if (principal.kind === 'session' || principal.scopes === null) return ofRole ?? new Set()
  return new Set(principal.scopes.filter(isScope).filter((scope) => ofRole === null || ofRole.has(scope)))
}

function refuseByPolicy(standing: Standing, principal: Principal, address: string | null): void {
  const lists = [standing.ipAllowlist, principal.kind === 'token' ? principal.cidrs : null]
  if (lists.some((list) => list && !networksOf(list).includes(address))) {
    throw new Problem('address-not-allowed', 'This organization or token is not used from your network address.')
  }
  if (standing.twoFactorRequired && principal.kind === 'session' && !principal.twoFactor) {
    throw new Problem(
      'second-factor-missing',
      'This organization wants a second factor. Set one up, and sign in with it.',
    )
  }
}

/** Whether the caller of a long answer would still be let in: asked while the answer goes on. */
async function isStillAdmitted(c: C, orgId: string): Promise<boolean> {
  try {
    const principal = await authenticate(c.get('deps'), c.req.header('authorization'))
    await contextFor(c, principal, orgId)
    return true
  } catch (error) {
    if (error instanceof Problem) return false
    throw error
  }
}

function contextOf(c: C, orgId: string, actor: Actor): Context {
  return { ...c.get('deps'), orgId, actor, requestId: c.get('requestId') }
}
