import { findOrgOf, jobs, withLookup } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import type { Context as HonoContext, MiddlewareHandler } from 'hono'
import { validate as isUuid } from 'uuid'
import type { Actor, Context, Deps } from '../context.js'
import { requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { admitInTurn } from './admit-in-turn.js'
import { authenticate, type Principal } from './authenticate.js'
import { networksOf } from './client-address.js'
import { requireDevice } from './device-access.js'
import { noteStranger } from './note-stranger.js'
import { isScope, type Scope } from './permissions.js'
import { appsWith, channelsWith, type Reach, reachOf, scopesIn } from './reach.js'
import { type Standing, standingIn } from './standing.js'
import { type OperatorIdentity, requireOperator } from './operator-access.js'
import { requireStepUp, type StepUp, stepUpOf } from './step-up.js'
import { requireLease, requireWorker, type Lease, type WorkerIdentity } from './worker-access.js'

/**
 * Who may call a route, and how its organization is found:
 * `app`, `job`, `organization`: by the id in the path (`appId`, `jobId`, `organizationId`), for a member with the scope.
 * `perApp`: a role in some app of the organization is enough to be let in, and the operation asks for the app.
 * `perChannel`: the same with the channels of an app.
 * `principal`: any signed-in person; the operation looks for itself. `device`: nobody needs to sign in, the app's
 * organization counts. `app-or-device`: as `app` with a token, as `device` without. `device-token`: the device of the app
 * in the path, by the token that was bound to it. `worker`, `lease`: build workers. `operator`: people who run the installation.
 */
export type Access =
  | { kind: 'public' }
  | { kind: 'principal' }
  | { kind: 'organization'; scope: Scope; stepUp?: StepUp; perApp?: true }
  | { kind: 'job'; scope: Scope; stepUp?: StepUp }
  | { kind: 'app'; scope: Scope; stepUp?: StepUp; perChannel?: true }
  | { kind: 'app-or-device'; scope: Scope; perChannel?: true }
  | { kind: 'device' }
  | { kind: 'device-token' }
  | { kind: 'worker' }
  | { kind: 'lease' }
  | { kind: 'operator' }

export type Env = {
  Variables: {
    deps: Deps
    requestId: string
    /** Null when it is not known, which no allow-list includes. */
    address: string | null
    principal: Principal
    ctx: Context
    /** By the clock of `performance`. */
    admittedAt: number
    worker: WorkerIdentity
    lease: Lease
    operator: OperatorIdentity
  }
}

type C = HonoContext<Env>

/** `inTurn`: of those who come at once a few are looked up at a time. */
export function access(who: Access, { inTurn = false } = {}): MiddlewareHandler<Env> {
  return async (c, next) => {
    c.set('admittedAt', performance.now())
    await (inTurn ? admitInTurn(() => admit(c, who)) : admit(c, who))
    await next()
  }
}

const PROMPT_MS = 1_000

/**
 * Reads the body, and asks again where it took its time: else whoever kept a request open could finish it after a token
 * was revoked, a role taken back, or a second factor had become old.
 */
export function accessStill(who: Access): MiddlewareHandler<Env> {
  return async (c, next) => {
    if (who.kind === 'public' || who.kind === 'device') return next()
    // What cannot be read is refused where it is parsed.
    await c.req.arrayBuffer().catch(() => undefined)
    if (performance.now() - c.get('admittedAt') > PROMPT_MS) await admit(c, who)
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
    case 'operator':
      c.set('operator', await requireOperator(deps, c.req.header('authorization')))
      return
    case 'device':
      return admitDevice(c)
    case 'device-token': {
      const device = await requireDevice(deps, c.req.header('authorization'), c.req.param('appId'))
      c.set('ctx', contextOf(c, device.orgId, { type: 'device', id: device.deviceId }))
      return
    }
    case 'app-or-device':
      if (!c.req.header('authorization')) return admitDevice(c)
      return admitMember(c, () => placeOfPath(c, 'app'), who)
    case 'organization':
    case 'app':
    case 'job':
      return admitMember(c, () => placeOfPath(c, who.kind), who)
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
  findPlace: () => Promise<Place>,
  who: { scope: Scope; stepUp?: StepUp; perApp?: true; perChannel?: true },
): Promise<void> {
  const principal = await authenticate(c.get('deps'), c.req.header('authorization'))
  const { orgId, appId } = await findPlace()
  c.set('principal', principal)
  const ctx = await contextFor(c, principal, orgId, appId)
  c.set('ctx', ctx)
  const onChannels = who.perChannel && channelsWith(ctx.actor.reach ?? [], who.scope).length > 0
  const inApps = who.perApp && appsWith(ctx.actor.reach ?? [], who.scope)?.length !== 0
  if (!onChannels && !inApps) requireScope(ctx, who.scope)
  requireStepUp(ctx.assurance, ctx.now(), who.stepUp ?? stepUpOf(who.scope))
}

type Place = { orgId: string; appId: string | null }

async function placeOfPath(c: C, kind: 'organization' | 'app' | 'job'): Promise<Place> {
  const id = c.req.param(`${kind}Id`)?.toLowerCase()
  if (!id || !isUuid(id)) throw new Problem('not-found')
  const { db } = c.get('deps')
  if (kind === 'organization') return { orgId: id, appId: null }
  if (kind === 'app') {
    const orgId = await findOrgOf(db, 'app', id)
    if (orgId) return { orgId, appId: id }
  } else {
    const ofJob = { orgId: jobs.orgId, appId: jobs.appId }
    const [job] = await withLookup(db, id, (tx) => tx.select(ofJob).from(jobs).where(eq(jobs.id, id)))
    if (job) return job
  }
  throw new Problem('not-found')
}

/**
 * The context of a member in the organization, or in one of its apps. Another organization's, and an app that the member
 * may not read, is 404, as if it did not exist.
 */
export async function contextFor(
  c: C,
  principal: Principal,
  orgId: string,
  appId: string | null = null,
): Promise<Context> {
  const standing = await standingIn(c.get('deps'), principal, { orgId, appId })
  if (!standing) noteStranger(c.get('deps'), principal, { orgId, requestId: c.get('requestId') })
  if (!standing || (appId !== null && !seesApp(standing, appId))) throw new Problem('not-found')
  refuseByPolicy(c, standing, principal)
  await standing.noteUse()
  const via =
    principal.kind === 'token'
      ? ({ type: 'token', id: principal.tokenId } as const)
      : ({ type: 'session', id: principal.sessionId } as const)
  const { role } = standing
  const reach = reachFor(principal, standing)
  const actor = { type: 'user', id: principal.userId, via, reach, scopes: scopesIn(reach, appId) } as const
  return {
    ...contextOf(c, orgId, role ? { ...actor, role } : actor),
    assurance: {
      kind: principal.kind,
      secondFactorAt: principal.kind === 'session' ? principal.secondFactorAt : null,
      stepUpRequired: standing.stepUpRequired,
    },
    stillAdmitted: (scope) => isStillAdmitted(c, { orgId, appId }, scope),
  }
}

/** A token has what it was given, as far as its owner still has it; a service token has no owner to lose it with. */
function reachFor(principal: Principal, { role, held }: Standing): Reach[] {
  const named = principal.kind === 'token' ? principal.scopes : null
  if (role === null) return [{ appId: null, channelId: null, scopes: new Set(named?.filter(isScope)) }]
  return reachOf(held, (scope) => named === null || named.includes(scope))
}

/** By the roles alone: a token that was given less is told so, and not that there is no such app. */
function seesApp({ role, held }: Standing, appId: string): boolean {
  const roles = reachOf(held, (scope) => scope === 'apps:read')
  return role === null || scopesIn(roles, appId).has('apps:read')
}

function refuseByPolicy(c: C, standing: Standing, principal: Principal): void {
  const [address, { countryOf }] = [c.get('address'), c.get('deps')]
  const lists = [standing.ipAllowlist, principal.kind === 'token' ? principal.cidrs : null]
  if (lists.some((list) => list && !networksOf(list).includes(address))) {
    throw new Problem('address-not-allowed', 'This organization or token is not used from your network address.')
  }
  // Without a database no country is known, and nobody comes in: a list that does nothing would be a promise broken.
  const country = countryOf?.(address) ?? ''
  if (standing.countryAllowlist && !standing.countryAllowlist.includes(country)) {
    throw new Problem('address-not-allowed', 'This organization is not used from the country of your network address.')
  }
  if (standing.twoFactorRequired && principal.kind === 'session' && !principal.twoFactor) {
    throw new Problem(
      'second-factor-missing',
      'This organization wants a second factor. Set one up, and sign in with it.',
    )
  }
}

/** Whether the caller of a long answer would still be given it: asked while the answer goes on. */
async function isStillAdmitted(c: C, { orgId, appId }: Place, scope: Scope): Promise<boolean> {
  try {
    const principal = await authenticate(c.get('deps'), c.req.header('authorization'))
    const { actor } = await contextFor(c, principal, orgId, appId)
    return actor.scopes?.has(scope) === true
  } catch (error) {
    if (error instanceof Problem) return false
    throw error
  }
}

function contextOf(c: C, orgId: string, actor: Actor): Context {
  return { ...c.get('deps'), orgId, actor, requestId: c.get('requestId') }
}
