import { createPrivateKey, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { callCapstan, makeKeyPair } from '../call-capstan.js'
import { officialCliPlace, runOfficialCli } from '../call-official-cli.js'
import { need, prove, type DemoWorld } from '../demo-world.js'
import { type Attack, openHostileNetwork } from '../hostile-network.js'
import { type Profile, runDevice } from '../run-device.js'
import { makeVersion } from './publish-update.js'

const nextVersion = '1.6.0'

function flipOneBit(bundle: Buffer): Buffer {
  const forged = Buffer.from(bundle)
  const at = Math.floor(forged.length / 2)
  forged.writeUInt8(forged.readUInt8(at) ^ 1, at)
  return forged
}

/** What the stranger would serve: other bytes, rightly signed, by the wrong key. */
function signedBy(privateFile: string): Attack {
  const bytes = Buffer.from('a bundle of the stranger')
  const signature = sign('sha256', bytes, createPrivateKey(readFileSync(privateFile))).toString('base64')
  return { tamper: () => bytes, signature }
}

/** The app behind a hostile network; it must refuse, and go on as it was. */
async function attack(world: DemoWorld, profile: Profile, how: Attack, code: string): Promise<void> {
  const network = await openHostileNetwork(world.stack.apiUrl, how)
  try {
    const { before, outcome, after } = await runDevice(world, network.url, profile)
    prove(outcome === code, `the ${profile} app refuses with ${code} (it said ${outcome})`)
    prove(after.version === before.version && after.version !== nextVersion, `the app keeps running ${before.version}`)
  } finally {
    await network.close()
  }
}

async function takeUpdate(world: DemoWorld, profile: Profile): Promise<void> {
  const { outcome, after } = await runDevice(world, world.stack.apiUrl, profile)
  const taken = outcome === 'staged' && after.version === nextVersion
  prove(taken, `the ${profile} app takes the untouched bundle (${outcome}, ${after.version})`)
}

/** The platform knows the customer's public key and does not even take a bundle signed by another. */
async function refuseAtUpload(world: DemoWorld, bundle: string, privateFile: string): Promise<string> {
  const place = ['--app-id', need(world, 'appId'), '--channel', 'production', '--path', bundle]
  const call = ['apps:liveupdates:upload', ...place, '--private-key', privateFile, '--yes']
  const { code, stdout, stderr } = await runOfficialCli(officialCliPlace(world), call)
  prove(code !== 0, 'a bundle signed by another key is refused at upload')
  const line = `${stdout}${stderr}`.split('\n').find((text) => text.startsWith('[error]'))
  return line?.replace('[error] ', '').trim() ?? ''
}

/** Step 8: a tampered bundle and one signed by another key are refused in both profiles; the untouched one is taken. */
export async function refuseForgeries(world: DemoWorld): Promise<string> {
  const next = join(world.folder, 'web-next')
  makeVersion(need(world, 'webBundle'), next, nextVersion)
  const stranger = await makeKeyPair(world, 'stranger')
  const refusal = await refuseAtUpload(world, next, stranger.privateFile)
  await callCapstan(world, ['publish', next, '--channel', 'production', '--key', need(world, 'keys').privateFile])

  await attack(world, 'compat', { tamper: flipOneBit }, 'BAD_SIGNATURE')
  await attack(world, 'compat', signedBy(stranger.privateFile), 'BAD_SIGNATURE')
  await attack(world, 'release', { tamper: flipOneBit }, 'HASH_MISMATCH')
  await attack(world, 'release', signedBy(stranger.privateFile), 'SIZE_MISMATCH')
  await takeUpdate(world, 'compat')
  await takeUpdate(world, 'release')
  return `4 forgeries refused on the device, one at upload ("${refusal}"); untouched, ${nextVersion} was taken`
}
