import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../failure.js'
import { runTool } from '../run-tool.js'
import { processEnv, type ProcessSettings } from './describe-processes.js'
import { workerTokenName } from './stack-connections.js'
import { randomPassword, secretFile } from './stack-folders.js'

/** The people of an organization by the names under which `dev.json` shows them. */
const roleOf = { owner: 'owner', admin: 'admin', approver: 'approver', developer: 'member', viewer: 'viewer' } as const
type Name = keyof typeof roleOf
const names = Object.keys(roleOf) as Name[]

interface StackUser {
  readonly id: string
  readonly email: string
  readonly password: string
}

export interface StackOrganization {
  readonly id: string
  readonly name: string
  readonly users: Readonly<Record<string, StackUser>>
  readonly tokens: Readonly<Record<string, string>>
}

interface ProvisionAnswer {
  readonly organizations: readonly {
    readonly id: string
    readonly name: string
    readonly users: Readonly<Record<string, { readonly id: string; readonly email: string }>>
    readonly tokens: Readonly<Record<string, string>>
  }[]
  readonly workers: readonly { readonly name: string; readonly token: string }[]
}

function request(workers: readonly string[]): {
  organizations: { name: string; users: Record<string, string>[] }[]
  workers: { name: string }[]
} {
  const organization = (name: string, members: readonly Name[]) => ({
    name,
    users: members.map((member) => ({
      role: roleOf[member],
      name: `${name} ${member}`,
      email: `${member}@${name.toLowerCase()}.example.com`,
      password: randomPassword(),
    })),
  })
  return {
    organizations: [organization('Demo', names), organization('Rival', ['owner'])],
    workers: workers.map((name) => ({ name })),
  }
}

async function callProvision(settings: ProcessSettings, input: string): Promise<ProvisionAnswer> {
  const script = join(settings.config.checkout, 'api', 'dist', 'provision.js')
  const { code, stdout, stderr } = await runTool(process.execPath, [script], {
    env: processEnv(settings, 'api'),
    input,
  })
  if (code !== 0) throw new Failure(`The first organizations could not be made (exit code ${code}).\n${stderr.trim()}`)
  const answer = stdout.trim().split('\n').at(-1) ?? ''
  return JSON.parse(answer) as ProvisionAnswer
}

/** Makes two organizations with a user of each role, their tokens, and each worker's token; once for a data folder. */
export async function provisionStack(
  settings: ProcessSettings,
  workers: readonly string[],
): Promise<readonly StackOrganization[]> {
  const { secrets } = settings.folders
  const kept = join(secrets, 'organizations.json')
  if (existsSync(kept)) return JSON.parse(readFileSync(kept, 'utf8')) as StackOrganization[]
  const wanted = request(workers)
  const answer = await callProvision(settings, JSON.stringify(wanted))
  for (const [index, name] of workers.entries()) {
    const token = answer.workers[index]?.token
    if (!token) throw new Failure('The provisioning step answered without a worker token.')
    secretFile(secrets, workerTokenName(name), () => token)
  }
  const organizations = answer.organizations.map((made, index): StackOrganization => {
    const passwords = new Map(wanted.organizations[index]?.users.map((user) => [user['role'], user['password'] ?? '']))
    const byName = <T>(byRole: Readonly<Record<string, T>>) =>
      names.flatMap((name) => {
        const value = byRole[roleOf[name]]
        return value === undefined ? [] : [[name, value] as const]
      })
    const users = byName(made.users).map(([name, user]): [string, StackUser] => [
      name,
      { ...user, password: passwords.get(roleOf[name]) ?? '' },
    ])
    return { ...made, users: Object.fromEntries(users), tokens: Object.fromEntries(byName(made.tokens)) }
  })
  secretFile(secrets, 'organizations.json', () => JSON.stringify(organizations))
  return organizations
}
