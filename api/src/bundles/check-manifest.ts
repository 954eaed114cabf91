import { z } from 'zod'
import { Problem } from '../problems.js'
import { checkPaths } from './check-path.js'
import type { BundleFile } from './queries.js'

export const MANIFEST_NAME = 'capawesome-live-update-manifest.json'
const MAX_ITEMS = 10_000
const MAX_TOTAL_BYTES = 200 * 1024 * 1024

const Manifest = z
  .array(
    z.object({
      checksum: z.string().regex(/^[0-9a-f]{64}$/),
      href: z.string().min(1),
      sizeInBytes: z.number().int().min(0),
    }),
  )
  .min(1)
  .max(MAX_ITEMS)

/**
 * Compares a manifest with the files that were uploaded: devices copy what a manifest names without looking again, so
 * every item must be there with this very content. `bytes` is the manifest file.
 */
export function checkManifest(bytes: Uint8Array, files: readonly BundleFile[]): void {
  const items = parse(bytes)
  checkPaths(items.map((item) => item.href))
  const byPath = new Map(files.map((file) => [file.href, file]))
  for (const item of items) {
    const file = byPath.get(item.href)
    if (!file)
      throw new Problem(
        'bundle-incomplete',
        `The manifest names "${item.href}", which was not uploaded. Upload it, then finish.`,
      )
    if (file.sha256 !== item.checksum || file.sizeBytes !== item.sizeInBytes) {
      throw new Problem(
        'bundle-incomplete',
        `"${item.href}" is not the file that the manifest describes. Build again and upload all of it.`,
      )
    }
  }
  if (items.reduce((sum, item) => sum + item.sizeInBytes, 0) > MAX_TOTAL_BYTES) {
    throw new Problem(
      'bundle-file-invalid',
      `The bundle is larger than ${MAX_TOTAL_BYTES / 1024 / 1024} MiB. (ARCHIVE_TOTAL_TOO_LARGE)`,
    )
  }
  if (!byPath.has('index.html'))
    throw new Problem('bundle-incomplete', 'The bundle has no index.html, so no app could start it.')
}

function parse(bytes: Uint8Array): z.infer<typeof Manifest> {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw new Problem(
      'bundle-incomplete',
      `${MANIFEST_NAME} is not JSON; it may be truncated. Upload the bundle again.`,
    )
  }
  const parsed = Manifest.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new Problem(
    'bundle-incomplete',
    `${MANIFEST_NAME} is not a list of { checksum, href, sizeInBytes }: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`,
  )
}
