import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runCommand } from './run-command.js'

const image = process.env['TEST_BUILDER_IMAGE'] ?? ''
const sampleApp = fileURLToPath(new URL('../../dev/sample-app/', import.meta.url))
const name = `capstan-image-test-${randomUUID()}`

// What a build container gets: no capabilities, no network, a read-only root, and two folders in memory.
const profile = [
  '--read-only --cap-drop ALL --security-opt no-new-privileges --network none --init --user 10001:10001',
  '--memory 2g --pids-limit 512 --label capstan=image-test',
  '--tmpfs /work:rw,exec,nosuid,nodev,uid=10001,gid=10001,mode=755,size=512m',
  '--tmpfs /tmp:rw,nosuid,nodev,size=256m',
  '--tmpfs /secrets:rw,noexec,nosuid,nodev,uid=10001,gid=10001,mode=700,size=8m',
].flatMap((line) => line.split(' '))

/** Runs a shell script in the container; both streams, and the exit code as data. */
async function inside(script: string): Promise<{ code: number | null; output: string }> {
  const child = spawn('docker', ['exec', name, 'bash', '-c', `exec 2>&1; ${script}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  return { output: (await text(child.stdout)).trim(), code: await ended }
}

describe.runIf(image)('the builder image', () => {
  beforeAll(async () => {
    await runCommand('docker', ['run', '--detach', '--name', name, ...profile, image])
    const pack = ['-C', sampleApp, '--exclude=node_modules', '--exclude=dist', '--exclude=app/build', '-c', '.']
    await runCommand('tar', pack, {
      consume: async (input) =>
        void (await runCommand('docker', ['exec', '-i', name, 'tar', '-x', '-C', '/work'], { input })),
    })
  })
  afterAll(async () => {
    await runCommand('docker', ['rm', '--force', name])
  })

  test.each([
    ['node --version', /^v24\.21\.0$/],
    ['npm --version', /^11\.21\.2$/],
    ['pnpm --version', /^10\.34\.9$/],
    ['yarn --version', /^1\.22\.22$/],
    ['bun --version', /^1\.4\.5$/],
    ['git --version', /^git version 2\./],
    ['ssh -V', /^OpenSSH_9/],
    ['javac -version', /^javac 17\./],
    ['keytool -help | head -1', /^Key and Certificate Management Tool/],
    ['aapt version', /^Android Asset Packaging Tool/],
    ['apksigner --version', /^0\.9/],
    ['zipalign | head -1', /^Zip alignment utility/],
    ['dalvik-exchange --version', /^dx version 1\.16/],
    ['unzip -v | head -1', /^UnZip 6/],
    ['unzip -l "$ANDROID_JAR" android/webkit/WebView.class resources.arsc | tail -1', /2 files$/],
  ])('has %s', async (command, version) => {
    const { output } = await inside(command)
    expect(output).toMatch(version)
  })

  test('runs as the builder, who can write to the work folder and nowhere in the image', async () => {
    expect((await inside('id -u; id -g; pwd; echo $HOME')).output).toBe('10001\n10001\n/work\n/home/builder')
    expect((await inside('echo kept > /work/probe && cat /work/probe && rm /work/probe')).output).toBe('kept')
    expect((await inside('touch /home/builder/probe')).code).not.toBe(0)
  })

  test('refuses to build the sample app before its web part is there', async () => {
    const { code, output } = await inside('cd android && ./gradlew assembleRelease')
    expect(code).toBe(1)
    expect(output).toContain('> Task :app:mergeReleaseAssets FAILED')
    expect(output).toContain('The web part is not in assets/public')
  })

  test('refuses tasks it does not have and versions that are none', async () => {
    expect(await inside('cd android && ./gradlew bundleRelease')).toMatchObject({
      code: 1,
      output: expect.stringContaining("task 'bundleRelease' is not known"),
    })
    expect(await inside('cd android && VERSION_CODE=1.2 ./gradlew assembleRelease')).toMatchObject({
      code: 1,
      output: expect.stringContaining("versionCode must be a whole number, not '1.2'"),
    })
  })

  test('builds, signs and verifies the sample app without any network', async () => {
    await inside('mkdir -p dist && sed "s/%APP_VERSION%/9.9.9/" src/index.html > dist/index.html')
    expect(await inside('node scripts/sync-android.mjs')).toMatchObject({ code: 0 })
    const built = await inside(
      'cd android && VERSION_CODE=999 ./gradlew --no-daemon assembleRelease -PversionName=9.9.9',
    )
    expect(built.output).toContain('> Task :app:assembleRelease\n\nBUILD SUCCESSFUL')
    const unsigned = '/work/android/app/build/outputs/apk/release/app-release-unsigned.apk'
    expect((await inside(`apksigner verify ${unsigned}`)).output).toContain('DOES NOT VERIFY')

    const signed = await inside(`set -e; umask 077; cd /secrets
      echo throwaway-secret > store; cp store key
      keytool -genkeypair -keystore keys.p12 -storetype PKCS12 -storepass:file store -keypass:file key -alias upload \\
        -keyalg RSA -keysize 2048 -validity 100 -dname 'CN=Harbour Upload'
      apksigner sign --ks keys.p12 --ks-key-alias upload --ks-pass file:store --key-pass file:key \\
        --out /work/signed.apk ${unsigned}
      apksigner verify --print-certs /work/signed.apk`)
    expect(signed.output).toContain('Signer #1 certificate DN: CN=Harbour Upload')
    expect(signed.code).toBe(0)
    const badging = await inside('aapt dump badging /work/signed.apk')
    expect(badging.output).toContain("package: name='com.example.harbour' versionCode='999' versionName='9.9.9'")
    expect(badging.output).toContain("launchable-activity: name='com.example.harbour.MainActivity'")
    const page = await inside('unzip -p /work/signed.apk assets/public/index.html')
    expect(page.output).toContain('<meta name="app-version" content="9.9.9" />')

    await inside('printf tampered >> /work/signed.apk')
    expect((await inside('apksigner verify /work/signed.apk')).code).not.toBe(0)
  })

  test('builds the same unsigned package twice from the same source', async () => {
    await inside('mkdir -p dist && cp src/index.html dist/ && node scripts/sync-android.mjs')
    const build =
      'cd /work/android && ./gradlew clean assembleDebug >/dev/null && sha256sum app/build/outputs/apk/debug/*.apk'
    const first = await inside(build)
    expect(first.output).toMatch(/^[0-9a-f]{64} {2}app\/build\/outputs\/apk\/debug\/app-debug-unsigned\.apk$/)
    expect(await inside(build)).toEqual(first)
  })
})
