import { ArchiveError, writeArchive } from '@capstan/sdk/archive'
import type { ArtifactDeclaration } from '@capstan/migrations/messages'
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { deflateRawSync } from 'node:zlib'
import { BuildFailure } from '../build-failure.js'
import type { BuildRun, Sandbox } from '../build-run.js'
import type { AndroidVariant } from '../choose-variant.js'
import { collectFiles } from '../collect-files.js'
import type { Project } from '../inspect-sandbox.js'
import { projectDir } from '../inspect-sandbox.js'
import { measureFile, openFile } from '../copy-file.js'
import { upload } from '../signed-url.js'
import { webOutputMissing } from './sync-native.js'
import type { VerifiedFile } from './verify.js'

const mebibyte = 1024 * 1024
const webLimits = { files: 10_000, totalBytes: 200 * mebibyte }
const uploading = { phase: 'upload', failureCode: 'upload-failed', subject: 'Reading the output' } as const

const mimeTypes = { apk: 'application/vnd.android.package-archive', aab: 'application/octet-stream' }

export async function uploadAndroid(
  run: BuildRun,
  file: VerifiedFile,
  { type, flavor }: AndroidVariant,
): Promise<void> {
  const measured = await measureFile(run, file, uploading)
  const name = ['app', flavor, type, run.spec.number].filter((part) => part !== null).join('-')
  const declaration: ArtifactDeclaration = {
    type: file.output,
    fileName: `${name.slice(0, 120)}.${file.output}`,
    mimeType: mimeTypes[file.output],
    ...(file.packageName !== undefined && { packageName: file.packageName }),
    ...measured,
  }
  await store(run, declaration, () => openFile(run, file, uploading))
}

/** The web output as an archive that depends on nothing but its files, ready to be published as a bundle. */
export async function uploadWeb(run: BuildRun, { containerId }: Sandbox, project: Project): Promise<void> {
  const { webDir } = project
  const directory = `${projectDir(project)}/${webDir ?? 'dist'}`
  const files = await collectFiles(run, { ...uploading, containerId, directory }, webLimits)
  if (!files.some(({ path }) => path === 'index.html')) throw webOutputMissing(webDir ?? 'dist')
  const zip = archive(files)
  const sha256 = createHash('sha256').update(zip).digest('hex')
  const fileName = `web-${run.spec.number}.zip`
  const declaration = { type: 'zip', fileName, mimeType: 'application/zip', sizeBytes: zip.length, sha256 } as const
  await store(run, declaration, () => Readable.from([zip]))
}

function archive(files: Parameters<typeof writeArchive>[0]): Buffer {
  try {
    return Buffer.from(writeArchive(files, (content) => deflateRawSync(content, { level: 9 })).buffer)
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error
    throw new BuildFailure('web-output-invalid', `The web output cannot be a bundle: ${error.message}`, {
      cause: error,
    })
  }
}

async function store(run: BuildRun, declaration: ArtifactDeclaration, open: () => Readable): Promise<void> {
  const options = { signal: run.signal, budgetMs: Number.POSITIVE_INFINITY }
  const { artifactId, uploadUrl } = await run.lease.declareArtifact(declaration, options)
  await upload(uploadUrl, declaration.sizeBytes, open, run.signal)
  await run.lease.finalizeArtifact(artifactId, options)
  run.logs.note(
    'upload',
    `Stored ${declaration.fileName}, ${declaration.sizeBytes} bytes, SHA-256 ${declaration.sha256}`,
  )
}
