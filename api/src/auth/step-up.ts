import { Problem } from '../problems.js'
import type { Scope } from './permissions.js'

/** How long a second factor counts for what is sensitive. */
export const FRESH_MS = 5 * 60_000

/** What is known of how the caller signed in. */
export type Assurance = {
  kind: 'session' | 'token'
  /** When a second factor was last presented in this session. */
  secondFactorAt: Date | null
  /** Whether the organization wants a second factor for changes of credentials and the like. */
  stepUpRequired: boolean
}

/** `always`: nobody does it without a fresh second factor. `policy`: where the organization demands it. */
export type StepUp = 'always' | 'policy' | 'never'

/** What a scope needs unless its route says otherwise: a new route of these scopes is guarded without being told. */
const guarded: Partial<Record<Scope, StepUp>> = {
  'credentials:write': 'policy',
  'public-keys:write': 'policy',
  'webhooks:write': 'policy',
  'tokens:write': 'policy',
  'organizations:write': 'policy',
  'organizations:terminate': 'always',
  'members:write': 'always',
  'policies:write': 'always',
  'support:write': 'always',
  'audit:erase': 'always',
  'change-requests:approve': 'policy',
}
export const stepUpOf = (scope: Scope): StepUp => guarded[scope] ?? 'never'

/**
 * Refuses what a stolen token or an unattended screen must not be able to do. A token never passes, whatever its scopes.
 */
export function requireStepUp(assurance: Assurance | undefined, now: Date, when: StepUp = 'always'): void {
  if (when === 'never' || (when === 'policy' && assurance && !assurance.stepUpRequired)) return
  if (assurance?.kind !== 'session') {
    throw new Problem('session-needed', 'An API token cannot do this. Sign in, and confirm with a second factor.')
  }
  if (!assurance.secondFactorAt) {
    const how = 'Send a code to POST /v1/sessions/current/second-factor, or set one up first.'
    throw new Problem('second-factor-missing', `This needs a second factor. ${how}`)
  }
  if (now.getTime() - assurance.secondFactorAt.getTime() > FRESH_MS) {
    const how = 'Send a code to POST /v1/sessions/current/second-factor.'
    throw new Problem('second-factor-stale', `The second factor of this session is older than five minutes. ${how}`)
  }
}
