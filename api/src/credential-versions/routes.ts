import { type OpenAPIHono, z } from '@hono/zod-openapi'

import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery, Timestamp } from '../define-route.js'
import { BundleId } from '../apps/present-app.js'
import { profileTypes } from '../provisioning-profiles/present-profile.js'
import { activateVersion } from './activate-version.js'
import { preFlight } from './pre-flight.js'
import { createVersion } from './create-version.js'
import { destroyVersion } from './destroy-version.js'
import { getUsage } from './get-usage.js'
import { listNotices } from './list-notices.js'
import { listVersions } from './list-versions.js'
import { CertificateVersion, presentVersion } from './present-version.js'
import { retireVersion } from './retire-version.js'
import { rollBack } from './roll-back.js'

const base = '/v1/apps/{appId}/certificates/{certificateId}' as const
const CertificatePath = z.object({ appId: Id, certificateId: Id })
const VersionPath = CertificatePath.extend({ version: z.coerce.number().int().min(1).max(2_147_483_647) })
const Target = z.object({
  type: z
    .enum(['simulator', ...profileTypes])
    .optional()
    .openapi({ description: 'Of a build for iOS.' }),
  bundleId: BundleId.optional().openapi({ description: 'Instead of the one of the app.' }),
})
const Expected = z.object({ expectedActiveVersion: z.number().int().min(1).nullable() })
// Signing tools read a password as one line of a file.
const OneLine = z
  .string()
  .max(1024)
  .regex(/^[^\r\n\0]*$/, 'must not have a line break')
const TenCharacters = z.string().regex(/^[A-Z0-9]{10}$/, 'has ten capital letters and digits')
const read = { kind: 'app', scope: 'credentials:read' } as const
const write = { kind: 'app', scope: 'credentials:write' } as const

const createRoute = defineRoute({
  method: 'post',
  path: `${base}/versions`,
  operationId: 'createCertificateVersion',
  summary: 'Upload the next version of a certificate beside the present one',
  description:
    'The version is `validated` once it has signed a test message; a `draft` is proven when it is activated.',
  access: write,
  request: {
    params: CertificatePath,
    body: {
      content: {
        'multipart/form-data': {
          schema: z.object({
            file: z.file('Send the file as the field "file".').openapi({ type: 'string', format: 'binary' }),
            password: OneLine.optional(),
            keyAlias: OneLine.optional(),
            keyPassword: OneLine.optional(),
            /** Of Apple's API keys; issuer and team stay as they are when they are left out. */
            keyId: TenCharacters.optional(),
            // Apple's issuer ids are UUIDs of no RFC variant.
            issuerId: z.guid().optional(),
            teamId: TenCharacters.optional(),
          }),
        },
      },
      required: true as const,
    },
  },
  responses: { 201: jsonResponse(CertificateVersion, 'The version, without its file and passwords') },
})

const listRoute = defineRoute({
  method: 'get',
  path: `${base}/versions`,
  operationId: 'listCertificateVersions',
  summary: 'Versions of a certificate, newest first',
  access: read,
  request: { params: CertificatePath },
  responses: { 200: jsonResponse(z.array(CertificateVersion), 'Versions') },
})

const activateRoute = defineRoute({
  method: 'post',
  path: `${base}/versions/{version}/activate`,
  operationId: 'activateCertificateVersion',
  summary: 'Make a version active, if the present one is the expected one',
  access: write,
  request: { params: VersionPath, body: jsonBody(Expected) },
  responses: { 200: jsonResponse(CertificateVersion, 'The version, active now') },
})

const rollBackRoute = defineRoute({
  method: 'post',
  path: `${base}/rollback`,
  operationId: 'rollBackCertificate',
  summary: 'Go back to the version that was active before',
  access: write,
  request: { params: CertificatePath, body: jsonBody(Expected) },
  responses: { 200: jsonResponse(CertificateVersion, 'The version, active again') },
})

const retireRoute = defineRoute({
  method: 'post',
  path: `${base}/versions/{version}/retire`,
  operationId: 'retireCertificateVersion',
  summary: 'Take a version out of use',
  access: write,
  request: { params: VersionPath },
  responses: { 200: jsonResponse(CertificateVersion, 'The version, retiring or retired') },
})

const destroyRoute = defineRoute({
  method: 'delete',
  path: `${base}/versions/{version}`,
  operationId: 'destroyCertificateVersion',
  summary: 'Destroy the key of a version for good',
  access: write,
  request: { params: VersionPath },
  responses: { 200: jsonResponse(CertificateVersion, 'What is left of the version') },
})

const usageRoute = defineRoute({
  method: 'get',
  path: `${base}/usage`,
  operationId: 'getCertificateUsage',
  summary: 'What uses a certificate',
  access: read,
  request: { params: CertificatePath },
  responses: {
    200: jsonResponse(
      z
        .object({
          unfinishedBuilds: z.array(
            z.object({ id: Id, numberAsString: z.string(), version: z.number().int().nullable(), status: z.string() }),
          ),
          provisioningProfiles: z.array(z.object({ id: Id, name: z.string(), expiresAt: Timestamp })),
          lastUse: z
            .object({
              usedAt: Timestamp,
              buildId: Id,
              version: z.number().int(),
              attempt: z.number().int(),
              worker: z.string(),
            })
            .nullable(),
        })
        .openapi('CertificateUsage'),
      'Unfinished builds, linked profiles and the last use',
    ),
  },
})

const checkRoute = defineRoute({
  method: 'get',
  path: `${base}/pre-flight`,
  operationId: 'checkCertificate',
  summary: 'Whether a build could sign with a certificate now',
  access: read,
  request: { params: CertificatePath, query: Target },
  responses: {
    200: jsonResponse(
      z
        .object({
          usable: z.boolean(),
          version: z.number().int(),
          obstacles: z.array(z.object({ code: z.string(), message: z.string() })),
        })
        .openapi('CertificatePreFlight'),
      'What a build would be refused for',
    ),
  },
})

const noticesRoute = defineRoute({
  method: 'get',
  path: '/v1/organizations/{organizationId}/credential-notices',
  operationId: 'listCredentialNotices',
  summary: 'Notices of certificates that expire soon, newest first',
  access: { kind: 'organization', scope: 'credentials:read' },
  request: { params: z.object({ organizationId: Id }), query: PageQuery },
  responses: {
    200: jsonResponse(
      z.array(
        z
          .object({
            appId: Id,
            certificateId: Id,
            certificateName: z.string(),
            version: z.number().int(),
            daysBefore: z.number().int(),
            expiresAt: Timestamp,
            createdAt: Timestamp,
          })
          .openapi('CredentialNotice'),
      ),
      'Notices',
    ),
  },
})

export function registerCredentialVersionRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createRoute, async (c) => {
    const { file, keyId, issuerId, teamId, ...secrets } = c.req.valid('form')
    const content = { name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) }
    const input = {
      ...pathOf(c.req.valid('param')),
      upload: { file: content, ...secrets, stated: { keyId, issuerId, teamId } },
    }
    return c.json(presentVersion(await createVersion(c.get('ctx'), input)), 201)
  })
  app.openapi(listRoute, async (c) => {
    const found = await listVersions(c.get('ctx'), pathOf(c.req.valid('param')))
    return c.json(found.map(presentVersion), 200)
  })
  app.openapi(activateRoute, async (c) => {
    const input = { ...versionOf(c.req.valid('param')), ...c.req.valid('json') }
    return c.json(presentVersion(await activateVersion(c.get('ctx'), input)), 200)
  })
  app.openapi(rollBackRoute, async (c) => {
    const input = { ...pathOf(c.req.valid('param')), ...c.req.valid('json') }
    return c.json(presentVersion(await rollBack(c.get('ctx'), input)), 200)
  })
  app.openapi(retireRoute, async (c) => {
    return c.json(presentVersion(await retireVersion(c.get('ctx'), versionOf(c.req.valid('param')))), 200)
  })
  app.openapi(destroyRoute, async (c) => {
    return c.json(presentVersion(await destroyVersion(c.get('ctx'), versionOf(c.req.valid('param')))), 200)
  })
  app.openapi(usageRoute, async (c) => {
    const usage = await getUsage(c.get('ctx'), pathOf(c.req.valid('param')))
    const unfinishedBuilds = usage.unfinishedBuilds.map(({ number, ...build }) => ({
      ...build,
      numberAsString: String(number),
    }))
    const provisioningProfiles = usage.provisioningProfiles.map(({ expiresAt, ...profile }) => ({
      ...profile,
      expiresAt: expiresAt.toISOString(),
    }))
    return c.json({ unfinishedBuilds, provisioningProfiles, lastUse: usage.lastUse }, 200)
  })
  app.openapi(checkRoute, async (c) => {
    const { version, obstacles } = await preFlight(c.get('ctx'), pathOf(c.req.valid('param')), c.req.valid('query'))
    return c.json({ usable: obstacles.length === 0, version, obstacles }, 200)
  })
  app.openapi(noticesRoute, async (c) => {
    const { limit = 50, offset = 0 } = c.req.valid('query')
    const found = await listNotices(c.get('ctx'), { limit, offset })
    return c.json(
      found.map(({ notice, name, appId }) => ({
        appId,
        certificateId: notice.credentialId,
        certificateName: name,
        version: notice.version,
        daysBefore: notice.daysBefore,
        expiresAt: notice.expiresAt.toISOString(),
        createdAt: notice.createdAt.toISOString(),
      })),
      200,
    )
  })
}

const pathOf = ({ appId, certificateId }: z.infer<typeof CertificatePath>) => ({ appId, credentialId: certificateId })
const versionOf = ({ version, ...path }: z.infer<typeof VersionPath>) => ({ ...pathOf(path), version })
