import { randomBytes } from 'node:crypto'
import { recoveryCodes, type Transaction } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import { digestOwn } from '../auth/identity-keys.js'
import { base32 } from '../auth/totp.js'
import type { Deps } from '../context.js'

const CODES = 10
/** 80 bits: too many to guess, so that their hash needs no slow function. */
const CODE_BYTES = 10

/** Ten codes that stand in for a lost second factor once each; the codes before them end. Shown once. */
export async function replaceRecoveryCodes(tx: Transaction, deps: Deps, userId: string): Promise<string[]> {
  const codes = Array.from({ length: CODES }, () => group(base32(randomBytes(CODE_BYTES)).toLowerCase()))
  await tx.delete(recoveryCodes).where(eq(recoveryCodes.userId, userId))
  await tx.insert(recoveryCodes).values(codes.map((code) => ({ userId, codeHash: hashOf(deps, userId, code) })))
  return codes
}

/** Whether it is one of the person's codes that was not used; then it is used. */
export async function useRecoveryCode(tx: Transaction, deps: Deps, userId: string, code: string): Promise<boolean> {
  const used = await tx
    .update(recoveryCodes)
    .set({ usedAt: deps.now() })
    .where(
      and(
        eq(recoveryCodes.userId, userId),
        eq(recoveryCodes.codeHash, hashOf(deps, userId, code)),
        isNull(recoveryCodes.usedAt),
      ),
    )
    .returning({ userId: recoveryCodes.userId })
  return used.length === 1
}

const hashOf = (deps: Deps, userId: string, code: string) =>
  digestOwn(deps.pepper, 'recovery-code', `${userId}/${code.toLowerCase().replaceAll(/[^a-z2-7]/g, '')}`)

const group = (code: string) => code.replaceAll(/.{4}(?=.)/g, '$&-')
