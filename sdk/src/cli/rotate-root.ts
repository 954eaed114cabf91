import {
  type Envelope,
  readPlatformPublicKey,
  ReleaseError,
  type RootStatement,
  signRoot,
  trustOf,
  verifyNextRoot,
} from '../release/index.js'
import { openApi, serverHelp, serverOptions } from './call-api.js'
import { type Command, CommandError } from './command.js'
import { openSigner, signerHelp, signerOptions } from './open-signer.js'
import { type Arguments, readArguments, readInteger } from './read-arguments.js'
import { readBytes, writeNew } from './read-file.js'
import type { LocalSigner } from './read-signing-key.js'
import { readTrustedKey } from './read-trusted-key.js'

const listOf = (text: string | null): string[] => (text ?? '').split(',').filter((item) => item !== '')

async function readPlatformKeys(options: Arguments): Promise<string[]> {
  const keys: string[] = []
  for (const path of options.need('platform-keys').split(',')) {
    const pem = Buffer.from(await readBytes(path)).toString('latin1')
    try {
      readPlatformPublicKey(pem)
    } catch (error) {
      if (error instanceof ReleaseError) throw new CommandError(error.code, `${path}: ${error.message}`)
      throw error
    }
    keys.push(pem)
  }
  return keys
}

/** Signs by both keys, and takes the result as a device of the old root would before anybody else sees it. */
async function signAndCheck(root: RootStatement, old: LocalSigner, next: LocalSigner): Promise<Envelope> {
  try {
    const envelope = await signRoot(root, old.keyId === next.keyId ? [old] : [old, next])
    const trust = await trustOf({ ...root, version: root.version - 1, releaseKeys: [old.publicPem] })
    await verifyNextRoot(envelope, trust, root.appId)
    return envelope
  } catch (error) {
    if (error instanceof ReleaseError)
      throw new CommandError(error.code, `Devices would refuse this root: ${error.message}`)
    throw error
  }
}

/** `capstan rotate-root` */
export const rotateRoot: Command = {
  summary: 'replace the keys that apps trust, or revoke bundles, without a store release',
  help: `capstan rotate-root --app ID --version N --key FILE [--new-key FILE] --platform-keys LIST [--revoke LIST] --out FILE

  --app ID               the app
  --version N            one more than the root that devices have; the keys compiled into the app are version 1
${signerHelp}
                         This key is trusted today.
  --new-key FILE         the key trusted from now on; also --new-key-env, --new-signer, --new-signer-key. Without it
                         the same key stays
  --release-keys LIST    more public keys that are trusted from now on, files with commas between
  --platform-keys LIST   public keys of your server, files with commas between
  --revoke LIST          bundles that no device installs any more, with commas between. Name all of them: a root
                         replaces the one before
  --out FILE             where the root statement goes
${serverHelp}
                         With --server the root is published, and devices learn it at their next check.

Both keys sign. Devices learn roots one after the other, so keep every one of them.`,
  async run(args, terminal) {
    const second = signerOptions.map((name) => `new-${name}`)
    const names = [
      ...serverOptions,
      ...signerOptions,
      ...second,
      'app',
      'version',
      'release-keys',
      'platform-keys',
      'revoke',
      'out',
    ]
    const options = readArguments(args, { names, operands: [] })
    const version = readInteger(options.need('version'), 'version', { min: 2, max: 1_000_000 })
    const [appId, out] = [options.need('app'), options.need('out')]
    const api = options.get('server') === null ? null : await openApi(options, terminal)
    const old = await openSigner(options, terminal)
    const changes = second.some((name) => options.get(name) !== null)
    const next = changes ? await openSigner(options, terminal, 'new-') : old
    const more = await Promise.all(listOf(options.get('release-keys')).map(readTrustedKey))
    const root: RootStatement = {
      _type: 'capstan-root/v1',
      appId,
      version,
      createdAt: new Date().toISOString(),
      releaseKeys: [next.publicPem, ...more.map(({ pem }) => pem)],
      platformKeys: await readPlatformKeys(options),
      revokedBundleIds: listOf(options.get('revoke')),
    }
    const envelope = await signAndCheck(root, old, next)
    await writeNew(out, `${JSON.stringify(envelope)}\n`)
    await api?.call('POST', `/v1/apps/${encodeURIComponent(appId)}/roots`, { root: envelope })
    if (api) terminal.note('published; devices learn it at their next check')
    terminal.print(`root         ${version} of ${appId}`)
    terminal.print(`key id       ${next.keyId}`)
    return 0
  },
}
