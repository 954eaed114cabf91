import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse } from '../define-route.js'
import { constraintNames } from '../builds/present-build.js'
import { plainText } from '../channels/plain-text.js'
import { registerUploadRoutes } from '../uploads/register-upload-routes.js'
import { acceptBundleFile, findBundleFileTarget } from './accept-bundle-file.js'
import { addBundleFile } from './add-bundle-file.js'
import { createBundle } from './create-bundle.js'
import { deleteBundle } from './delete-bundle.js'
import { Bundle, presentBundle } from './present-bundle.js'
import { updateBundle } from './update-bundle.js'

const AppPath = z.object({ appId: Id })
const BundlePath = z.object({ appId: Id, bundleId: Id })
const Sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex')
const VersionCode = z
  .union([z.string(), z.number()])
  .transform(String)
  .pipe(z.string().regex(/^\d{1,15}(\.\d{1,15}){0,9}$/, 'must be a version code such as 42 or 1.2.3'))
const Text = plainText(2000)

const CustomProperties = z
  .record(plainText(100).min(1), plainText(100))
  .refine((properties) => Object.keys(properties).length <= 10, 'at most 10 custom properties')

const MAX_RELEASE_CHARACTERS = 6 * 1024 * 1024
const Release = z
  .record(z.string(), z.unknown())
  .refine(isStorable, 'must be JSON of a sensible depth and size, without a NUL character')
  .openapi({ description: 'A DSSE envelope.' })

const CreateBody = z.object({
  artifactType: z.enum(['zip', 'manifest']).default('zip'),
  channelName: plainText(200).min(1).optional(),
  checksum: Sha256.optional(),
  signature: z.string().max(4096).optional(),
  url: z.url().max(2000).optional(),
  rolloutPercentage: z.number().min(0).max(1).default(1),
  customProperties: CustomProperties.default({}),
  minAndroidAppVersionCode: VersionCode.optional(),
  maxAndroidAppVersionCode: VersionCode.optional(),
  eqAndroidAppVersionCode: VersionCode.optional(),
  minIosAppVersionCode: VersionCode.optional(),
  maxIosAppVersionCode: VersionCode.optional(),
  eqIosAppVersionCode: VersionCode.optional(),
  gitRef: Text.optional(),
  gitCommitMessage: Text.optional(),
  gitCommitRef: Text.optional(),
  gitCommitSha: Text.optional(),
})

const createRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/bundles',
  operationId: 'createBundle',
  summary: 'Create a live-update bundle',
  access: { kind: 'app', scope: 'bundles:write' },
  request: { params: AppPath, body: jsonBody(CreateBody) },
  responses: { 201: jsonResponse(Bundle, 'The bundle') },
})

const updateRoute = defineRoute({
  method: 'patch',
  path: '/v1/apps/{appId}/bundles/{bundleId}',
  operationId: 'updateBundle',
  summary: 'Finish the upload of a bundle',
  access: { kind: 'app', scope: 'bundles:write' },
  request: {
    params: BundlePath,
    body: jsonBody(
      z.object({
        artifactStatus: z.literal('ready').optional(),
        appBundleFileId: Id.optional(),
        release: Release.optional(),
      }),
    ),
  },
  responses: { 200: jsonResponse(Bundle, 'The bundle') },
})

const deleteRoute = defineRoute({
  method: 'delete',
  path: '/v1/apps/{appId}/bundles/{bundleId}',
  operationId: 'deleteBundle',
  summary: 'Delete a bundle with its deployments',
  access: { kind: 'app', scope: 'bundles:write' },
  request: { params: BundlePath },
  responses: { 204: { description: 'Deleted' } },
})

const FileForm = z.object({
  checksum: Sha256,
  file: z.file('must be a file').optional().openapi({ type: 'string', format: 'binary' }),
  // Judged by the archive rules, whose reason is better than a length.
  href: z.string().max(100_000).optional(),
  mimeType: plainText(200).min(1),
  name: plainText(500).min(1),
  signature: z.string().max(4096).optional(),
  sizeInBytes: z.coerce.number().int().min(0),
})

const addFileRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/bundles/{bundleId}/files',
  operationId: 'addBundleFile',
  summary: 'Add a file to a bundle',
  access: { kind: 'app', scope: 'bundles:write' },
  request: {
    params: BundlePath,
    body: { content: { 'multipart/form-data': { schema: FileForm } }, required: true as const },
  },
  responses: { 201: jsonResponse(z.object({ id: Id }).openapi('BundleFile'), 'The file') },
})

export function registerBundleRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createRoute, async (c) => {
    const body = c.req.valid('json')
    const { bundle, deploymentId } = await createBundle(c.get('ctx'), {
      ...body,
      appId: c.req.valid('param').appId,
      constraints: pick(Object.fromEntries(constraintNames.map((name) => [name, body[name]]))),
      git: pick({
        ref: body.gitRef,
        commitMessage: body.gitCommitMessage,
        commitRef: body.gitCommitRef,
        commitSha: body.gitCommitSha,
      }),
    })
    return c.json(presentBundle(bundle, deploymentId), 201)
  })
  app.openapi(updateRoute, async (c) => {
    const { bundle, deploymentId } = await updateBundle(c.get('ctx'), {
      ...c.req.valid('json'),
      ...c.req.valid('param'),
    })
    return c.json(presentBundle(bundle, deploymentId), 200)
  })
  app.openapi(deleteRoute, async (c) => {
    await deleteBundle(c.get('ctx'), c.req.valid('param'))
    return c.body(null, 204)
  })
  app.openapi(addFileRoute, async (c) => {
    const { file, ...fields } = c.req.valid('form')
    const content = file ? new Uint8Array(await file.arrayBuffer()) : undefined
    const added = await addBundleFile(c.get('ctx'), { ...fields, ...c.req.valid('param'), content })
    return c.json({ id: added.id }, 201)
  })
  registerUploadRoutes(app, {
    path: '/v1/apps/{appId}/bundles/{bundleId}/files/{fileId}/upload',
    name: 'BundleFile',
    scope: 'bundles:write',
    params: z.object({ appId: Id, bundleId: Id, fileId: Id }),
    target: findBundleFileTarget,
    accept: acceptBundleFile,
  })
}

/** What is nested too deeply cannot be written as JSON again. */
function isStorable(envelope: object): boolean {
  try {
    const text = JSON.stringify(envelope)
    return text.length <= MAX_RELEASE_CHARACTERS && !text.includes('\\u0000')
  } catch {
    return false
  }
}

/** The entries that have a value. */
function pick(entries: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(entries).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  )
}
