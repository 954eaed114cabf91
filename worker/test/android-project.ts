import type { ZipInput } from './make-zip.js'
import { makeZip } from './make-zip.js'

const manifest = `<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="com.example.pier"
  android:versionCode="3" android:versionName="1.0">
  <uses-sdk android:minSdkVersion="23" android:targetSdkVersion="23"/>
  <application android:hasCode="false" android:label="Pier"/>
</manifest>
`

const gradlew = `#!/bin/sh
set -e
case "$1" in
  assembleRelease) out=app/build/outputs/apk/release/app-release-unsigned.apk ;;
  assembleDebug) out=app/build/outputs/apk/debug/app-debug-unsigned.apk ;;
  *) echo "unknown task $1" >&2; exit 2 ;;
esac
mkdir -p "$(dirname "$out")"
aapt package -f -M app/src/main/AndroidManifest.xml -A app/src/main/assets -I "$ANDROID_JAR" -F "$out"
echo "BUILD SUCCESSFUL"
`

export type ProjectOptions = {
  scripts?: Record<string, string>
  files?: readonly ZipInput[]
  without?: readonly string[]
  gradlew?: string
  gradlewMode?: number
}

/** A Capacitor-shaped project without dependencies, so that installing it asks no registry. */
export function androidProject(options: ProjectOptions = {}): Buffer {
  const scripts = options.scripts ?? { build: 'mkdir -p dist && cp src/index.html dist/' }
  const packageJson = { name: 'pier', version: '1.0.0', private: true, scripts }
  const lock = {
    name: 'pier',
    version: '1.0.0',
    lockfileVersion: 3,
    requires: true,
    packages: { '': { name: 'pier', version: '1.0.0' } },
  }
  const files: ZipInput[] = [
    { name: 'package.json', content: JSON.stringify(packageJson) },
    { name: 'package-lock.json', content: JSON.stringify(lock) },
    { name: 'capacitor.config.json', content: JSON.stringify({ appId: 'com.example.pier', webDir: 'dist' }) },
    { name: 'src/index.html', content: '<!doctype html><title>Pier</title>' },
    { name: 'android/gradlew', content: options.gradlew ?? gradlew, mode: options.gradlewMode ?? 0o100755 },
    { name: 'android/app/src/main/AndroidManifest.xml', content: manifest },
  ]
  const kept = files.filter(({ name }) => !(options.without ?? []).includes(String(name)))
  return makeZip([...kept, ...(options.files ?? [])])
}
