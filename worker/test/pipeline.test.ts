import { execFileSync } from 'node:child_process'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Bench } from './build-bench.js'
import { builderImage, openBench } from './build-bench.js'
import { androidProject } from './android-project.js'
import { makeZip } from './make-zip.js'

let bench: Bench

beforeEach(async () => {
  bench = await openBench()
})
afterEach(async () => {
  expect(bench.api.violations).toEqual([])
  await bench[Symbol.asyncDispose]()
})

const settings = (app: object) => ({
  name: 'capawesome.config.json',
  content: JSON.stringify({ cloud: { apps: [app] } }),
})

test('the project file says where a web app is and how it is installed and built', async () => {
  bench.api.spec = { platform: 'web', type: null }
  const app = {
    baseDir: 'apps/pier',
    dependencyInstallCommand: 'echo installed-by-hand > ../../mark && pwd',
    webBuildCommand: 'mkdir -p www && cp ../../mark www/index.html && pwd',
  }
  bench.api.source = makeZip([
    settings(app),
    { name: 'apps/pier/package.json', content: '{"scripts":{"build":"exit 1"}}' },
    { name: 'apps/pier/capacitor.config.json', content: '{"webDir":"www"}' },
  ])
  await bench.run()
  expect(bench.api.finishes).toMatchObject([{ status: 'succeeded' }])
  expect(bench.api.lines.filter((line) => line === '/work/source/apps/pier')).toHaveLength(2)
  expect(bench.api.artifacts).toMatchObject([{ final: true, declaration: { type: 'zip' } }])
})

test('the script capawesome:build goes before build', async () => {
  bench.api.spec = { platform: 'web', type: null }
  const scripts = { 'capawesome:build': 'mkdir dist && touch dist/index.html', build: 'exit 1' }
  bench.api.source = androidProject({ scripts })
  await bench.run()
  expect(bench.api.finishes).toMatchObject([{ status: 'succeeded' }])
})

test('a version that the image does not have ends the build with what it has', async () => {
  bench.api.spec = { platform: 'web', type: null, variables: { NODE_VERSION: '8' } }
  bench.api.source = androidProject()
  await bench.run()
  expect(bench.api.finishes).toMatchObject([
    {
      code: 'tool-version-missing',
      message: expect.stringMatching(/^The builder image has Node \d+\.\d+\.\d+, not "8"/),
    },
  ])
})

/** Makes what Gradle would: an APK by aapt, and a bundle by hand, signed as a project with a key of its own would. */
const gradlew = `#!/bin/sh
set -e
echo "TASKS $*"
apk=app/build/outputs/apk/paid/release/app-paid-release-unsigned.apk
aab=$PWD/app/build/outputs/bundle/paidRelease/app-paid-release.aab
mkdir -p "$(dirname "$apk")" "$(dirname "$aab")" b/base/manifest
aapt package -f -M app/src/main/AndroidManifest.xml -A app/src/main/assets -I "$ANDROID_JAR" -F "$apk"
cp "$apk" app/build/outputs/apk/paid/app-other.apk
echo manifest > b/base/manifest/AndroidManifest.xml
echo config > b/BundleConfig.pb
(cd b && zip -q -r "$aab" .)
keytool -genkeypair -noprompt -keystore /tmp/own -storepass password -alias own -keyalg RSA -dname CN=Project 2>/dev/null
jarsigner -keystore /tmp/own -storepass password "$aab" own >/dev/null
`

test('a flavor as APK and as app bundle: both carry the certificate of the signer and no other', async () => {
  bench.api.spec = {
    variables: { ANDROID_FLAVOR: 'paid', ANDROID_BUILD_TYPE: 'release', ANDROID_OUTPUTS: 'apk,aab' },
    overrides: { displayName: 'Quay & Pier' },
  }
  const strings = '<resources><string name="app_name">Pier</string></resources>'
  bench.api.source = androidProject({
    gradlew,
    files: [{ name: 'android/app/src/main/res/values/strings.xml', content: strings }],
  })
  await bench.run()
  expect(bench.api.finishes).toMatchObject([{ status: 'succeeded' }])
  expect(bench.api.lines).toContain('TASKS assemblePaidRelease bundlePaidRelease')
  expect(bench.api.lines).toContain('Display name Quay & Pier')
  expect(bench.api.artifacts.map(({ final, declaration: { type, fileName } }) => ({ final, type, fileName }))).toEqual([
    { final: true, type: 'apk', fileName: 'app-paid-release-7.apk' },
    { final: true, type: 'aab', fileName: 'app-paid-release-7.aab' },
  ])
  const certificate = /^Signed with certificate SHA-256 ([0-9a-f]{64})$/m.exec(bench.api.log)?.[1]
  expect(bench.api.lines).toContain(`App bundle with one signer, certificate SHA-256 ${certificate}`)
  const argv = ['run', '--rm', '-i', '--network', 'none', builderImage(), 'sh', '-c']
  const script = 'cat > /tmp/app.aab; jarsigner -verify /tmp/app.aab; unzip -Z1 /tmp/app.aab'
  const printed = execFileSync('docker', [...argv, script], { input: bench.api.artifacts[1]?.bytes ?? '' }).toString()
  expect(printed).toContain('jar verified.')
  expect(printed.match(/^META-INF\/.*\.SF$/gm)).toEqual(['META-INF/CERT.SF'])
})

test('a flavor that does not exist is a failure that names what was looked for', async () => {
  bench.api.spec = { variables: { ANDROID_FLAVOR: 'gold' } }
  bench.api.source = androidProject({ gradlew: '#!/bin/sh\nexit 0\n' })
  await bench.run()
  expect(bench.api.finishes).toMatchObject([
    { code: 'apk-missing', message: expect.stringContaining('gold debug APK') },
  ])
})
