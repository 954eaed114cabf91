import { text } from 'node:stream/consumers'
import {
  apiTokens,
  memberships,
  newId,
  openDatabase,
  operators,
  organizations,
  roles,
  userPasswords,
  users,
  withOrg,
  withUser,
  workers,
  withLookup,
  type Database,
  type Transaction,
} from '@capstan/migrations'
import { z } from 'zod'
import { recordAudit } from './audit/record-audit.js'
import { hashPassword } from './auth/password.js'
import { createToken, hashToken } from './auth/tokens.js'
import { ProvisionConfig, readConfig, readPassword } from './config.js'
import { exitOnBadConfiguration } from './exit-on-bad-configuration.js'
import { readRawKeyFile } from './vault/read-secret-file.js'

/**
 * Sets up organizations, their first people and the workers, from JSON on standard input; answers ids and tokens on
 * standard output. For an installation's first start; afterwards people are invited through the API.
 */
const Person = z.strictObject({
  role: z.enum(roles),
  name: z.string().min(1),
  email: z.email(),
  password: z.string().min(12),
})
const Input = z.strictObject({
  organizations: z.array(z.strictObject({ name: z.string().min(1), users: z.array(Person).min(1) })).default([]),
  workers: z.array(z.strictObject({ name: z.string().min(1) })).default([]),
  /** People who run the installation: they may ask for support grants and handle incidents, and read nothing by that. */
  operators: z.array(z.strictObject({ name: z.string().min(1).max(200) })).default([]),
})
const TOKEN_MS = 90 * 24 * 60 * 60 * 1000

const config = readConfig(ProvisionConfig)
const password = readPassword(config.DATABASE_PASSWORD_FILE)
const pepper = await exitOnBadConfiguration(readRawKeyFile(config.TOKEN_PEPPER_FILE, 'TOKEN_PEPPER_FILE'))
const database = openDatabase({ url: config.DATABASE_URL, ...(password === undefined ? {} : { password }) })

const input = Input.parse(JSON.parse(await text(process.stdin)))
const answer = { organizations: [] as unknown[], workers: [] as unknown[], operators: [] as unknown[] }
for (const organization of input.organizations)
  answer.organizations.push(await provisionOrganization(database.db, organization))
for (const worker of input.workers) answer.workers.push(await provisionWorker(database.db, worker.name))
for (const { name } of input.operators) answer.operators.push(await provisionOperator(database.db, name))
await database[Symbol.asyncDispose]()
process.stdout.write(`${JSON.stringify(answer)}\n`)

async function provisionOrganization(db: Database, wanted: z.infer<typeof Input>['organizations'][number]) {
  const orgId = newId()
  const people: Record<string, { id: string; email: string }> = {}
  const tokens: Record<string, string> = {}
  for (const person of wanted.users) people[person.role] = { id: await provisionUser(db, person), email: person.email }
  await withOrg(db, orgId, async (tx) => {
    await tx.insert(organizations).values({ id: orgId, name: wanted.name })
    for (const person of wanted.users) {
      const userId = people[person.role]?.id ?? ''
      await tx.insert(memberships).values({ orgId, userId, role: person.role })
      tokens[person.role] = await provisionToken(tx, orgId, userId)
    }
    const by = { orgId, actor: { type: 'system', id: 'provision' } as const, requestId: 'provision' }
    await recordAudit(tx, by, { action: 'organization.created', target: { organization: orgId } })
  })
  return { id: orgId, name: wanted.name, users: people, tokens }
}

async function provisionUser(db: Database, person: z.infer<typeof Person>): Promise<string> {
  const userId = newId()
  await withUser(db, userId, async (tx) => {
    await tx.insert(users).values({ id: userId, email: person.email, name: person.name })
    await tx.insert(userPasswords).values({ userId, hash: await hashPassword(person.password) })
  })
  return userId
}

async function provisionToken(tx: Transaction, orgId: string, userId: string): Promise<string> {
  const token = createToken('ca')
  await tx.insert(apiTokens).values({
    id: newId(),
    orgId,
    userId,
    name: 'first token',
    tokenHash: hashToken(pepper, token),
    lastFour: token.slice(-4),
    expiresAt: new Date(Date.now() + TOKEN_MS),
  })
  return token
}

async function provisionWorker(db: Database, name: string): Promise<{ name: string; token: string }> {
  const token = createToken('cw')
  const tokenHash = hashToken(pepper, token)
  await withLookup(db, tokenHash, (tx) => tx.insert(workers).values({ id: newId(), name, tokenHash }))
  return { name, token }
}

async function provisionOperator(db: Database, name: string): Promise<{ name: string; token: string }> {
  const token = createToken('co')
  const tokenHash = hashToken(pepper, token)
  await withLookup(db, tokenHash, (tx) => tx.insert(operators).values({ id: newId(), name, tokenHash }))
  return { name, token }
}
