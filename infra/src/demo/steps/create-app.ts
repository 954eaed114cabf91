import { callOfficialCli, idIn, signIn } from '../call-official-cli.js'
import { prove, type DemoWorld } from '../demo-world.js'
import { callApi } from '../call-api.js'

/** Step 1: an organization with an owner, a token of its own for the customer's machine, and an app. */
export async function createApp(world: DemoWorld): Promise<string> {
  const organization = world.stack.organizations[0]
  const ownerToken = organization?.tokens['owner']
  prove(organization !== undefined && ownerToken !== undefined, 'the stack made an organization with an owner')
  const token = ownerToken ?? ''
  await signIn(world, token)
  const me = await callApi<{ email: string }>(world, token, 'GET', '/v1/users/me')
  const whoami = await callOfficialCli(world, ['whoami'])
  prove(whoami.includes(me.email), 'the CLI is signed in as the owner')
  const create = ['apps:create', '--name', 'Tour', '--type', 'capacitor', '--json']
  const appId = idIn(await callOfficialCli(world, [...create, '--organization-id', organization?.id ?? '']))
  Object.assign(world.made, { organizationId: organization?.id, token, appId })
  return `app ${appId} in organization "${organization?.name ?? ''}", signed in as ${me.email}`
}
