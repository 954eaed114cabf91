import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { callOfficialCli } from '../call-official-cli.js'
import { need, prove, type DemoWorld } from '../demo-world.js'
import { callCapstan, makeKeyPair } from '../call-capstan.js'
import { unpackZip } from '../unpack-archive.js'
import { echoLines, sampleApp } from './build-app.js'

/** Gives the built page another version, as the next web build would. */
export function makeVersion(from: string, to: string, version: string): void {
  cpSync(from, to, { recursive: true })
  const page = join(to, 'index.html')
  const marked = /(<meta name="app-version" content=")[^"]*/
  writeFileSync(page, readFileSync(page, 'utf8').replace(marked, `$1${version}`))
}

async function publish(world: DemoWorld, bundle: string, privateKeyFile: string): Promise<string> {
  const place = ['--app-id', need(world, 'appId'), '--channel', 'production']
  const what = ['--path', bundle, '--private-key', privateKeyFile, '--yes']
  return callOfficialCli(world, ['apps:liveupdates:upload', ...place, ...what])
}

/** Step 6: a new web build, signed on the customer's machine and published to a channel by the official CLI. */
export async function publishUpdate(world: DemoWorld): Promise<string> {
  const appId = need(world, 'appId')
  const version = '1.5.0'
  const keys = await makeKeyPair(world, 'customer')
  await callCapstan(world, ['register-key', keys.publicFile])
  await callOfficialCli(world, ['apps:channels:create', '--app-id', appId, '--name', 'production'])
  const zip = join(world.folder, 'web.zip')
  const build = ['apps:builds:create', '--app-id', appId, '--platform', 'web', '--path', sampleApp(world), '--zip', zip]
  const variables = ['--variable', `APP_VERSION=${version}`, '--variable', 'APP_THEME=dusk', '--yes']
  await callOfficialCli(world, [...build, ...variables], echoLines(world))
  const bundle = join(world.folder, 'web')
  mkdirSync(bundle)
  await unpackZip(world, zip, '', bundle)
  await publish(world, bundle, keys.privateFile)
  prove(readFileSync(join(bundle, 'index.html'), 'utf8').includes(version), `the web build shows version ${version}`)
  Object.assign(world.made, { keys, webBundle: bundle, publishedVersion: version })
  return `web build ${version} signed with an RSA key that never left this machine, published to channel "production"`
}
