import type { Transaction } from '@capstan/migrations'

import { Problem } from '../problems.js'
import { findUnfinishedBuilds, type VersionPath } from './queries.js'

const SHOWN = 5

/** Builds keep the version they were given; while one is unfinished, that version stays. */
export async function refuseUsedVersion(tx: Transaction, { credentialId, version }: VersionPath): Promise<void> {
  const unfinished = await findUnfinishedBuilds(tx, credentialId, version)
  if (unfinished.length === 0) return
  const numbers = unfinished.slice(0, SHOWN).map(({ number }) => number)
  const rest = unfinished.length > SHOWN ? ` and ${unfinished.length - SHOWN} more` : ''
  throw new Problem(
    'credential-in-use',
    `Version ${version} is used by unfinished builds: ${numbers.join(', ')}${rest}. Wait for them, or cancel them first.`,
  )
}
