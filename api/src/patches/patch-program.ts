import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { deflateRawSync } from 'node:zlib'
import { type FileDigest, openArchive } from '@capstan/sdk/archive'
import { applyPatch, defaultPatchLimits, layOut, PatchError, type PatchLayout } from '@capstan/sdk/delta'
import { makePatch } from '@capstan/sdk/delta/make'
import { frame, PatchOrder, unframe } from './patch-order.js'

// The child process of `runPatchProgram`: reads both bundles, makes a patch, applies it and compares.

type Contents = { files: FileDigest[]; bytes: Map<string, Uint8Array> }

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

function readBundle(zip: Buffer, expected: { sha256: string }): Contents {
  if (sha256(zip) !== expected.sha256) throw new Error('A stored bundle is not the one that was published.')
  const archive = openArchive(zip)
  if (archive.totalSize > defaultPatchLimits.maximumBytes)
    throw new PatchError('PATCH_TOO_LARGE', 'The bundles are too large for a patch.')
  const bytes = new Map<string, Uint8Array>()
  const files = archive.files.map((file) => {
    const content = file.read()
    const digest = { path: file.path, sha256: sha256(content), size: content.length }
    bytes.set(digest.sha256, content)
    return digest
  })
  return { files, bytes }
}

function join(files: PatchLayout['old'], { bytes }: Contents): Uint8Array {
  return Buffer.concat(files.map((file) => bytes.get(file.sha256) as Uint8Array))
}

/** What the files would take that a device can have one by one instead: as they are packed in the zip. */
function packedSize(files: PatchLayout['fresh'], { bytes }: Contents): number {
  return files.reduce((sum, file) => sum + deflateRawSync(bytes.get(file.sha256) as Uint8Array).length, 0)
}

async function answer(input: Buffer): Promise<{ verdict: Buffer; patch?: Uint8Array }> {
  const { document, rest } = unframe(input)
  const order = PatchOrder.parse(document)
  const before = readBundle(rest.subarray(0, order.old.size), order.old)
  const after = readBundle(rest.subarray(order.old.size), order.fresh)
  const layout = layOut(before.files, after.files)
  const old = join(layout.old, before)
  const fresh = join(layout.fresh, after)
  const refuse = (reason: string) => ({ verdict: frame({ ok: false, reason }) })
  const patch = makePatch(old, fresh, { effort: order.effort })
  if (patch === null) return refuse('A device would take too long to apply it.')
  if (patch.length >= packedSize(layout.fresh, after)) return refuse('It is not smaller than the changed files.')
  const applied = await applyPatch(patch, old, fresh.length)
  if (Buffer.compare(applied, fresh) !== 0) throw new Error('The patch does not make the bundle that it was made for.')
  return { verdict: frame({ ok: true, sizeBytes: patch.length }), patch }
}

const { verdict, patch } = await answer(await buffer(process.stdin)).catch((error: unknown) => {
  if (!(error instanceof PatchError)) throw error
  return { verdict: frame({ ok: false, reason: error.message }), patch: undefined }
})
process.stdout.write(patch ? Buffer.concat([verdict, patch]) : verdict)
