import { createPrivateKey, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { officialCliPlace, runOfficialCli } from '../call-official-cli.js'
import { need, prove, type DemoWorld } from '../demo-world.js'
import { type Attack, openHostileNetwork } from '../hostile-network.js'
import { makeKeyPair } from '../make-key-pair.js'
import { runDevice } from '../run-device.js'
import { makeVersion, publish } from './publish-update.js'

function flipOneBit(bundle: Buffer): Buffer {
  const forged = Buffer.from(bundle)
  const at = Math.floor(forged.length / 2)
  forged.writeUInt8(forged.readUInt8(at) ^ 1, at)
  return forged
}

/** The app behind a hostile network; it must refuse and go on as it was. */
async function attackApp(world: DemoWorld, attack: Attack, running: string): Promise<string> {
  const network = await openHostileNetwork(world.stack.apiUrl, attack)
  try {
    const { outcome, after } = await runDevice(world, network.url)
    prove(after.version === running, `the app keeps running ${running} (it runs ${after.version})`)
    return outcome
  } finally {
    await network.close()
  }
}

/** The platform knows the customer's public key and does not even take a bundle signed by another. */
async function uploadForeign(world: DemoWorld, bundle: string, privateFile: string): Promise<string> {
  const call = [
    'apps:liveupdates:upload',
    '--app-id',
    need(world, 'appId'),
    '--channel',
    'production',
    '--path',
    bundle,
  ]
  const { code, stdout, stderr } = await runOfficialCli(officialCliPlace(world), [
    ...call,
    '--private-key',
    privateFile,
    '--yes',
  ])
  prove(code !== 0, 'a bundle signed by another key is refused at upload')
  const lines = `${stdout}${stderr}`.split('\n').filter((line) => /ERROR/i.test(line))
  return lines[0]?.replace(/.*ERROR\s*/i, '').trim() ?? ''
}

/** Step 8: a tampered bundle and one signed by another key are refused; the untouched one goes through. */
export async function refuseForgeries(world: DemoWorld): Promise<string> {
  const running = need(world, 'publishedVersion')
  const next = join(world.folder, 'web-next')
  makeVersion(need(world, 'webBundle'), next, '1.6.0')
  const stranger = await makeKeyPair(world, 'stranger')
  const refusal = await uploadForeign(world, next, stranger.privateFile)
  await publish(world, next, need(world, 'keys').privateFile)

  const tampered = await attackApp(world, { tamper: flipOneBit }, running)
  prove(tampered === 'BAD_SIGNATURE', `a bundle with one bit flipped is refused (${tampered})`)
  const foreignZip = Buffer.from('another bundle, as the stranger would serve it')
  const key = createPrivateKey(readFileSync(stranger.privateFile))
  const signature = sign('sha256', foreignZip, key).toString('base64')
  const foreign = await attackApp(world, { tamper: () => foreignZip, signature }, running)
  prove(foreign === 'BAD_SIGNATURE', `a bundle signed by another key is refused (${foreign})`)

  const { outcome, after } = await runDevice(world, world.stack.apiUrl)
  prove(
    outcome === 'staged' && after.version === '1.6.0',
    `the untouched bundle is taken (${outcome}, ${after.version})`,
  )
  return `flipped bit: ${tampered}; other key: ${foreign}, and at upload "${refusal}"; the app kept ${running}, then took 1.6.0 untouched`
}
