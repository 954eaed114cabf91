import { sha256Hex } from '../archive/index.js'
import {
  compareVersions,
  type Envelope,
  type Platform,
  platforms,
  type ReleaseStatement,
  signRelease,
  type Signer,
} from '../release/index.js'
import { UsageError } from './command.js'
import { type Arguments, readInteger } from './read-arguments.js'
import type { LocalBundle } from './read-bundle.js'

/** The options that describe a release, for commands that make one. */
export const releaseOptions = [
  'platforms',
  'sequence',
  'expires-days',
  'min-native',
  'max-native',
  'restores',
  'root-version',
] as const

/** Their help. */
export const releaseHelp = `  --platforms LIST       where it runs: ${platforms.join(',')} (default android,ios)
  --sequence N           number of the release, higher than every one before (default: minutes since 1970)
  --expires-days N       days until devices stop taking it (default 365)
  --min-native VERSION   lowest and highest native version that can run it
  --max-native VERSION
  --restores BUNDLE      for a deliberate rollback: the bundle whose content this is
  --root-version N       version of the root statement your keys are in (default 1)`

const dayMs = 86_400_000

function readPlatforms(text: string): Platform[] {
  return text.split(',').map((name) => {
    const found = platforms.find((platform) => platform === name.trim())
    if (!found) throw new UsageError(`--platforms: "${name}" is not one of ${platforms.join(', ')}.`)
    return found
  })
}

function readVersion(options: Arguments, name: string): string | null {
  const version = options.get(name)
  if (version !== null && compareVersions(version, '0') === null)
    throw new UsageError(`--${name} must be dotted numbers, like 1.4.0.`)
  return version
}

/** What the command line says about a release, apart from what it is for. */
export function readReleaseOptions(options: Arguments, now: number) {
  const days = readInteger(options.get('expires-days') ?? '365', 'expires-days', { min: 1, max: 3650 })
  const minutes = String(Math.floor(now / 60_000))
  return {
    platforms: readPlatforms(options.get('platforms') ?? 'android,ios'),
    sequence: readInteger(options.get('sequence') ?? minutes, 'sequence', { min: 1, max: Number.MAX_SAFE_INTEGER }),
    createdAt: new Date(now).toISOString(),
    expiresAt: new Date(now + days * dayMs).toISOString(),
    minNativeVersion: readVersion(options, 'min-native'),
    maxNativeVersion: readVersion(options, 'max-native'),
    restores: options.get('restores'),
    rootVersion: readInteger(options.get('root-version') ?? '1', 'root-version', { min: 1, max: 1_000_000 }),
  }
}

/** Signs the statement that names everything a device may trust about a bundle. */
export async function makeRelease(
  bundle: LocalBundle,
  signer: Signer,
  about: Pick<ReleaseStatement, 'appId' | 'channels' | 'bundleId'> & ReturnType<typeof readReleaseOptions>,
): Promise<{ envelope: Envelope; releaseId: string }> {
  return signRelease(
    {
      _type: 'capstan-release/v1',
      provenance: null,
      ...about,
      archive: { sha256: await sha256Hex(bundle.bytes), size: bundle.bytes.length },
      files: bundle.files,
    },
    signer,
  )
}
