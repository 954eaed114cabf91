import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { callOfficialCli } from '../call-official-cli.js'
import { createKeystore } from '../create-keystore.js'
import { need, prove, type DemoWorld } from '../demo-world.js'
import { searchEverywhere } from '../search-everywhere.js'
import { secretForms } from '../secret-forms.js'

/** Step 2: a keystore made by keytool, uploaded by the official CLI, nowhere to be found in clear afterwards. */
export async function uploadKeystore(world: DemoWorld): Promise<string> {
  const keystore = await createKeystore(world)
  const file = join(world.folder, 'release.p12')
  writeFileSync(file, keystore.bytes, { mode: 0o600 })
  const certificate = ['--name', keystore.name, '--platform', 'android', '--file', file]
  const secrets = [
    '--password',
    keystore.password,
    '--key-alias',
    keystore.alias,
    '--key-password',
    keystore.keyPassword,
  ]
  await callOfficialCli(world, [
    'apps:certificates:create',
    '--app-id',
    need(world, 'appId'),
    ...certificate,
    ...secrets,
    '--yes',
  ])
  Object.assign(world.made, { keystore })
  // The search is worth something only if it finds what is there: the certificate's name is stored in clear.
  const control = await searchEverywhere(world, secretForms({}, { name: keystore.name }))
  prove(control.found.length > 0, 'the search finds the name of the certificate in the database')
  const forms = secretForms({ keystore: keystore.bytes }, { password: keystore.password })
  const { found, places, bytes } = await searchEverywhere(world, forms)
  prove(found.length === 0, `the keystore is stored encrypted only; found ${found.join(', ')}`)
  return `stored encrypted: ${forms.length} forms of file and password absent from ${places} tables and files (${(bytes / 1e6).toFixed(0)} MB)`
}
