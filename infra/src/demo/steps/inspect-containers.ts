import { need, prove, type ContainerSeen, type DemoWorld } from '../demo-world.js'
import { searchEverywhere } from '../search-everywhere.js'
import { secretForms } from '../secret-forms.js'

interface Inspection {
  readonly Name: string
  readonly Image: string
  readonly State: { readonly Running: boolean }
  readonly Config: { readonly User: string; readonly Labels: Readonly<Record<string, string>> }
  readonly HostConfig: {
    readonly NetworkMode: string
    readonly CapDrop: readonly string[] | null
    readonly ReadonlyRootfs: boolean
    readonly Privileged: boolean
    readonly Binds: readonly string[] | null
    readonly SecurityOpt: readonly string[] | null
    readonly PidsLimit: number | null
    readonly Memory: number
  }
  readonly NetworkSettings: { readonly Networks: Readonly<Record<string, unknown>> }
}

const parse = ({ inspections }: ContainerSeen): Inspection[] =>
  inspections.map((text) => JSON.parse(text) as Inspection)
const hasNetwork = ({ HostConfig, NetworkSettings }: Inspection): boolean =>
  HostConfig.NetworkMode !== 'none' || Object.keys(NetworkSettings.Networks).some((name) => name !== 'none')

function isConfined({ Config, HostConfig: host }: Inspection): boolean {
  return (
    Config.User.startsWith('10001') &&
    host.CapDrop?.[0] === 'ALL' &&
    host.ReadonlyRootfs &&
    !host.Privileged &&
    (host.Binds ?? []).length === 0 &&
    (host.SecurityOpt ?? []).some((option) => option.startsWith('no-new-privileges')) &&
    host.Memory > 0 &&
    (host.PidsLimit ?? 0) > 0
  )
}

/** Step 4: what Docker said of the two containers while they worked. */
export async function inspectContainers(world: DemoWorld): Promise<string> {
  const containers = need(world, 'containers').filter(({ inspections }) => inspections.length > 0)
  const histories = containers.map(parse)
  for (const kind of ['build', 'signer']) {
    const isSeen = histories.some((history) => history.some(({ Name }) => Name.endsWith(`-${kind}`)))
    prove(isSeen, `a ${kind} container was seen`)
  }
  prove(!histories.flat().some(hasNetwork), 'no container had a network: packages came through the egress proxy')
  for (const history of histories) prove(history.every(isConfined), 'every container kept to the profile')
  const keystore = need(world, 'keystore')
  const forms = secretForms({ keystore: keystore.bytes }, { password: keystore.password })
  const inspections = containers.flatMap((container) => container.inspections)
  const { found, places } = await searchEverywhere(world, forms, inspections)
  prove(found.length === 0, `no trace of the keystore after the build; found ${found.join(', ')}`)
  return `neither container had a network, packages came through the egress proxy; no trace of the keystore in ${places} places`
}
