import type { BuildPhase } from '@capstan/migrations/messages'
import { BuildFailure } from './build-failure.js'

export type KnownFailure = {
  phases: readonly BuildPhase[]
  pattern: RegExp
  code: string
  message: string
  /** A log with this failure, in `fixtures/known-failures`. */
  fixture: string
}

const everyCommand = [
  'fetch-source',
  'install',
  'build-web',
  'sync-native',
  'compile',
  'sign',
  'verify',
  'upload',
] as const

/** What build tools print when they fail for a reason with a known remedy. The first row that matches explains. */
export const knownFailures: readonly KnownFailure[] = [
  {
    phases: everyCommand,
    pattern: /ENOSPC|No space left on device/,
    code: 'disk-full',
    message: 'The build filled its disk. Write less, or raise the disk limit of the build.',
    fixture: 'disk-full.txt',
  },
  {
    phases: ['install', 'build-web', 'sync-native', 'compile'],
    pattern:
      /fork: (?:retry: )?Resource temporarily unavailable|unable to create (?:new )?native thread|spawn \S+ EAGAIN/,
    code: 'too-many-processes',
    message: 'The build started more processes or threads than it may. Use fewer workers.',
    fixture: 'too-many-processes.txt',
  },
  {
    phases: ['build-web', 'compile'],
    pattern: /java\.lang\.OutOfMemoryError: (?:Java heap space|Metaspace)|JavaScript heap out of memory/,
    code: 'heap-exhausted',
    message:
      'A build tool ran out of heap. Raise its heap size (org.gradle.jvmargs or NODE_OPTIONS) within the memory of the build.',
    fixture: 'heap-exhausted.txt',
  },
  {
    phases: ['install'],
    pattern: /npm error code EUSAGE|ERR_PNPM_OUTDATED_LOCKFILE|Your lockfile needs to be updated|YN0028/,
    code: 'lockfile-outdated',
    message: 'package.json and the lockfile do not agree. Run the install locally and upload the updated lockfile.',
    fixture: 'lockfile-outdated.txt',
  },
  {
    phases: ['install'],
    pattern: /npm error code ERESOLVE/,
    code: 'dependencies-conflict',
    message:
      'Dependencies ask for versions that do not fit together. Resolve the peer dependency conflict named in the log.',
    fixture: 'dependencies-conflict.txt',
  },
  {
    phases: ['install'],
    pattern: /npm error code (?:E404|ETARGET)|ERR_PNPM_FETCH_404|ERR_PNPM_NO_MATCHING_VERSION/,
    code: 'dependency-not-found',
    message:
      'A dependency or the version asked for is not in the registry. Check its name, its version and the access to it.',
    fixture: 'dependency-not-found.txt',
  },
  {
    phases: ['install'],
    pattern: /npm error code EINTEGRITY|ERR_PNPM_TARBALL_INTEGRITY|Integrity check failed/,
    code: 'dependency-integrity',
    message:
      'A dependency is not the one the lockfile names: its hash differs. Find out why before you update the lockfile.',
    fixture: 'dependency-integrity.txt',
  },
  {
    phases: ['install'],
    pattern: /SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT_LOCALLY|UNABLE_TO_VERIFY_LEAF_SIGNATURE/,
    code: 'registry-certificate',
    message:
      'The registry shows a certificate that the build does not trust. The operator can set EXTRA_CA_FILE on the worker.',
    fixture: 'registry-certificate.txt',
  },
  {
    phases: ['install'],
    pattern: /ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ERR_SOCKET_TIMEOUT/,
    code: 'registry-unreachable',
    message: 'The package registry could not be reached from the build.',
    fixture: 'registry-unreachable.txt',
  },
  {
    phases: ['build-web', 'sync-native', 'compile'],
    pattern: /getaddrinfo (?:ENOTFOUND|EAI_AGAIN)|UnknownHostException|Temporary failure in name resolution/,
    code: 'network-disconnected',
    message: 'A command needs the network, which ends with the install phase. Fetch what it needs during the install.',
    fixture: 'network-disconnected.txt',
  },
  {
    phases: ['install', 'build-web', 'sync-native'],
    pattern: /npm error Missing script:|ERR_PNPM_NO_SCRIPT|error Command "[^"]+" not found/,
    code: 'script-missing',
    message: 'A script that the build calls is not in package.json.',
    fixture: 'script-missing.txt',
  },
  {
    phases: ['compile'],
    pattern: /SDK location not found|ANDROID_HOME.{0,40}not set/,
    code: 'android-sdk-missing',
    message: 'The project looks for an Android SDK that this builder image does not have.',
    fixture: 'android-sdk-missing.txt',
  },
  {
    phases: ['compile'],
    pattern: /Unsupported class file major version|requires Java \d+ to run|invalid source release/,
    code: 'java-version',
    message: 'The project needs another Java version than the builder image has.',
    fixture: 'java-version.txt',
  },
  {
    phases: ['compile'],
    pattern: /Could not resolve all (?:files|artifacts|dependencies)|Could not resolve [\w.-]+:[\w.-]+/,
    code: 'gradle-dependencies',
    message:
      'Gradle could not resolve a dependency. The network ends with the install phase: fetch it during the install.',
    fixture: 'gradle-dependencies.txt',
  },
  {
    phases: ['compile'],
    pattern: /AndroidManifest\.xml:\d+: error|Manifest merger failed/,
    code: 'android-manifest',
    message: 'The Android manifest has an error; the log names the line.',
    fixture: 'android-manifest.txt',
  },
  {
    phases: ['compile'],
    pattern: /\.(?:java|kt):\d+: error:|^e: .+\.kt:/m,
    code: 'android-source-error',
    message: 'The Android source code does not compile; the log names file and line.',
    fixture: 'android-source-error.txt',
  },
  {
    phases: ['sign'],
    pattern: /keystore password was incorrect|Keystore was tampered with/i,
    code: 'keystore-password-wrong',
    message: 'The keystore does not open with its password. Upload the keystore again with the right one.',
    fixture: 'keystore-password-wrong.txt',
  },
  {
    phases: ['sign'],
    pattern: /Cannot recover key|Failed to obtain key with alias .+ password/i,
    code: 'key-password-wrong',
    message:
      'The key in the keystore does not open with the key password. Upload the keystore again with the right one.',
    fixture: 'key-password-wrong.txt',
  },
  {
    phases: ['sign'],
    pattern: /entry "[^"]*" does not contain a key|Alias <[^>]*> does not exist/,
    code: 'keystore-alias-not-found',
    message: 'The keystore has no key under the alias of the credential. Upload it again with the right alias.',
    fixture: 'keystore-alias-not-found.txt',
  },
  {
    phases: ['sign', 'verify'],
    pattern: /ApkFormatException|Malformed APK|NOT_A_ZIP|Unable to open '.+' as zip archive/,
    code: 'apk-malformed',
    message: 'What the build produced is not a valid APK.',
    fixture: 'apk-malformed.txt',
  },
  // Last: a refused call may have nothing to do with why the command failed.
  {
    phases: ['fetch-source', 'install', 'compile'],
    pattern: /^Network: refused: /,
    code: 'host-not-allowed',
    message:
      'The build asked for a host that it may not call; the log names it. Add it to the allowed hosts of the app, or to EGRESS_HOSTS of the worker.',
    fixture: 'host-not-allowed.txt',
  },
]

export function explainFailure(phase: BuildPhase, tail: readonly string[]): BuildFailure | undefined {
  const log = tail.join('\n')
  const known = knownFailures.find(({ phases, pattern }) => phases.includes(phase) && pattern.test(log))
  return known && new BuildFailure(known.code, known.message)
}
