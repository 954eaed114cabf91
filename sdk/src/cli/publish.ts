import { encodeBase64 } from '../release/index.js'
import { openApi, serverHelp, serverOptions } from './call-api.js'
import { type Command, UsageError } from './command.js'
import { makeRelease, readReleaseOptions, releaseHelp, releaseOptions } from './make-release.js'
import { openSigner, signerHelp, signerOptions } from './open-signer.js'
import { type Arguments, readArguments } from './read-arguments.js'
import { readBundle } from './read-bundle.js'
import { requireAbsent, writeNew } from './read-file.js'
import { textOf, uploadZip } from './upload-zip.js'

function readRollout(text: string): number {
  const percentage = /^(?:0|1|0?\.\d{1,6}|1\.0+)$/.test(text) ? Number(text) : Number.NaN
  if (Number.isNaN(percentage)) throw new UsageError('--rollout must be a number from 0 to 1, like 0.25.')
  return percentage
}

/** The app that is shipped with the bundle, if one is. */
function readShipped(options: Arguments): { file: string; code: string } | null {
  const [file, code] = [options.get('built-in'), options.get('version-code')]
  if (file === null && code === null) return null
  if (file === null || code === null) throw new UsageError('--built-in and --version-code go together.')
  if (options.has('no-release')) throw new UsageError('--built-in needs a release; leave --no-release out.')
  if (!/^\w[\w.-]{0,99}$/.test(code)) throw new UsageError('--version-code must be a number or a short name.')
  return { file, code: encodeURIComponent(code) }
}

/** `capstan publish` */
export const publish: Command = {
  summary: 'pack, sign here, upload and deploy a bundle to a channel',
  help: `capstan publish PATH --app ID --channel NAME --key FILE --server URL --token-file FILE

  PATH                   a zip, or the folder of your web build
  --app ID               the app
  --channel NAME         the channel that gets it
${signerHelp}
${serverHelp}
  --rollout FRACTION     share of the devices that get it, 0 to 1 (default 1)
  --built-in FILE        write which bundle this is, and its files, for the app that is shipped with it: put FILE into
                         the web folder of the app, so that patches can lead away from there
  --version-code CODE    with --built-in: the version code of that app, for the server to keep making such patches
  --no-release           only sign the zip, for apps that use the compat profile
  --json                 print the result as JSON
${releaseHelp}`,
  async run(args, terminal) {
    const names = [
      'app',
      'channel',
      'rollout',
      'built-in',
      'version-code',
      ...signerOptions,
      ...serverOptions,
      ...releaseOptions,
    ]
    const options = readArguments(args, { names, flags: ['no-release', 'json'], operands: ['PATH'] })
    const [appId, channel] = [options.need('app'), options.need('channel')]
    const rolloutPercentage = readRollout(options.get('rollout') ?? '1')
    const about = options.has('no-release') ? null : readReleaseOptions(options, Date.now())
    const shipped = readShipped(options)
    if (shipped) await requireAbsent(shipped.file)
    const api = await openApi(options, terminal)
    const signer = await openSigner(options, terminal)
    const bundle = await readBundle(options.operands[0] ?? '')
    const signature = encodeBase64(await signer.sign(bundle.bytes))

    const bundles = `/v1/apps/${encodeURIComponent(appId)}/bundles`
    const created = await api.call('POST', bundles, {
      appId,
      artifactType: 'zip',
      channelName: channel,
      rolloutPercentage,
    })
    const bundleId = textOf(created, 'id')
    terminal.note(`uploading ${bundle.files.length} files, ${bundle.bytes.length} bytes packed`)
    const appBundleFileId = await uploadZip(api, `${bundles}/${bundleId}`, {
      bytes: bundle.bytes,
      signature,
      note: (line) => terminal.note(line),
    })
    const release = about ? await makeRelease(bundle, signer, { ...about, appId, channels: [channel], bundleId }) : null
    const ready = await api.call('PATCH', `${bundles}/${bundleId}`, {
      artifactStatus: 'ready',
      appBundleFileId,
      ...(release ? { release: release.envelope } : {}),
    })
    if (shipped) {
      await writeNew(shipped.file, `${JSON.stringify({ bundleId, files: bundle.files })}\n`)
      for (const platform of about?.platforms ?? [])
        await api.call('PUT', `/v1/apps/${encodeURIComponent(appId)}/embedded-bundles/${platform}/${shipped.code}`, {
          bundleId,
        })
    }
    const result = {
      bundleId,
      deploymentId: typeof ready['appDeploymentId'] === 'string' ? ready['appDeploymentId'] : null,
      sequence: about?.sequence ?? null,
      releaseId: release?.releaseId ?? null,
    }
    if (options.has('json')) terminal.print(JSON.stringify(result))
    else
      for (const [name, value] of Object.entries(result))
        if (value !== null) terminal.print(`${name.padEnd(13)}${value}`)
    return 0
  },
}
