import { deflateRawSync } from 'node:zlib'
import { writeArchive } from '@capstan/sdk/archive'

type Files = Readonly<Record<string, string>>
type Zip = Uint8Array<ArrayBuffer>

/** Leaves something in npm's cache without asking a registry, so that a build has a cache to save. */
const install = 'npm ci && mkdir -p "$npm_config_cache/_cacache" && echo kept > "$npm_config_cache/_cacache/kept"'

const npmProject = (script: string): Files => ({
  'package.json': JSON.stringify({ name: 'small', version: '1.0.0', scripts: { build: script } }),
  'package-lock.json': JSON.stringify({
    name: 'small',
    version: '1.0.0',
    lockfileVersion: 3,
    packages: { '': { name: 'small', version: '1.0.0' } },
  }),
  'capawesome.config.json': JSON.stringify({ cloud: { apps: [{ dependencyInstallCommand: install }] } }),
  'capacitor.config.json': JSON.stringify({ appId: 'com.example.small', appName: 'Small', webDir: 'dist' }),
})

/** A project without dependencies whose web build takes `seconds` and says each of them. */
export function webProject(seconds: number): Zip {
  const script = `
    const { mkdirSync, writeFileSync } = require('node:fs')
    let left = ${seconds}
    const tick = () => {
      console.log('left: ' + left)
      if (left-- > 0) return setTimeout(tick, 1000)
      mkdirSync('dist', { recursive: true })
      writeFileSync('dist/index.html', '<h1>built</h1>')
    }
    tick()`
  return zip({ ...npmProject('node build.cjs'), 'build.cjs': script })
}

/** A project whose build says `lines` times what time it is, once every `pauseMs`. */
export function talkingProject(lines: number, pauseMs: number): Zip {
  const script = `
    let left = ${lines}
    const tick = () => {
      if (left-- === 0) return
      console.log('printed at ' + Date.now())
      setTimeout(tick, ${pauseMs})
    }
    tick()`
  return zip({ ...npmProject('node build.cjs'), 'build.cjs': script, 'dist/index.html': '<h1>built</h1>' })
}

/** A project whose build runs this script of Node, with an argument. */
export function scriptProject(script: string, argument: string): Zip {
  const files = { ...npmProject(`node build.mjs ${argument}`), 'build.mjs': script }
  return zip({ ...files, 'dist/index.html': '<h1>built</h1>' })
}

const manifest = `<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="com.example.small"
  android:versionCode="1" android:versionName="1.0">
  <uses-sdk android:minSdkVersion="23" android:targetSdkVersion="23"/>
  <application android:hasCode="false" android:label="Small"/>
</manifest>
`

const gradlew = `#!/bin/sh
set -e
out=app/build/outputs/apk/debug/app-debug-unsigned.apk
mkdir -p "$(dirname "$out")"
aapt package -f -M app/src/main/AndroidManifest.xml -A app/src/main/assets -I "$ANDROID_JAR" -F "$out"
`

/** A project that runs every phase, for Android, as quickly as its tools allow. */
export function androidProject(): Zip {
  return zip({
    ...npmProject('mkdir -p dist && echo "<h1>built</h1>" > dist/index.html'),
    'android/gradlew': gradlew,
    'android/app/src/main/AndroidManifest.xml': manifest,
  })
}

/** Files that are a web build already: nothing to install and nothing to run. */
export const builtWebsite = (): Zip => zip({ 'dist/index.html': '<h1>built</h1>' })

function zip(files: Files): Zip {
  const inputs = Object.entries(files).map(([path, text]) => ({ path, content: new TextEncoder().encode(text) }))
  const archive = writeArchive(inputs, (content) => deflateRawSync(content))
  makeExecutable(archive)
  return archive
}

/** The SDK's archives carry no modes; gradlew needs one. */
function makeExecutable(archive: Zip): void {
  const view = new DataView(archive.buffer)
  let entry = view.getUint32(archive.length - 6, true)
  while (view.getUint32(entry, true) === 0x02014b50) {
    view.setUint8(entry + 5, 3)
    view.setUint32(entry + 38, (0o100755 << 16) >>> 0, true)
    entry += 46 + view.getUint16(entry + 28, true) + view.getUint16(entry + 30, true) + view.getUint16(entry + 32, true)
  }
}
