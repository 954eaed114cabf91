import { readFileSync } from 'node:fs'
import { need, prove, type DemoWorld } from '../demo-world.js'
import { runInBuilder } from '../run-in-builder.js'

const script =
  'cat > app.apk && apksigner verify --verbose --print-certs app.apk && aapt dump badging app.apk | head -n 1'

/** Step 5: the downloaded file carries the signature of the uploaded keystore's certificate. */
export async function verifyApk(world: DemoWorld): Promise<string> {
  const bytes = readFileSync(need(world, 'apkFile'))
  const report = (await runInBuilder(world, script, bytes)).toString('utf8')
  const digest = /certificate SHA-256 digest: ([0-9a-f]{64})/.exec(report)?.[1]
  prove(digest === need(world, 'keystore').certificateSha256, "apksigner names the uploaded keystore's certificate")
  prove(/v2 scheme.*: true/.test(report), 'the APK is signed by scheme v2')
  const badge = /package: name='([^']+)' versionCode='([^']*)' versionName='([^']*)'/.exec(report)
  return `${badge?.[1] ?? 'the package'} ${badge?.[3] ?? ''} is signed by certificate ${digest?.slice(0, 16) ?? ''}…`
}
