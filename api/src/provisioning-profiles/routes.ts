import { type OpenAPIHono, z } from '@hono/zod-openapi'

import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery } from '../define-route.js'
import { createProfile } from './create-profile.js'
import { deleteProfile } from './delete-profile.js'
import { getProfile } from './get-profile.js'
import { updateProfiles } from './link-profiles.js'
import { listProfiles } from './list-profiles.js'
import { presentProfile, profileTypes, ProvisioningProfile } from './present-profile.js'

const base = '/v1/apps/{appId}/provisioning-profiles' as const
const AppPath = z.object({ appId: Id })
const ProfilePath = z.object({ appId: Id, provisioningProfileId: Id })
const Ids = z
  .string()
  .transform((text) => [...new Set(text.split(',').filter(Boolean))])
  .pipe(z.array(z.uuid()).min(1).max(100))
const read = { kind: 'app', scope: 'credentials:read' } as const
const write = { kind: 'app', scope: 'credentials:write' } as const

const createRoute = defineRoute({
  method: 'post',
  path: base,
  operationId: 'createProvisioningProfile',
  summary: 'Upload a provisioning profile, before its certificate or after it',
  access: write,
  request: {
    params: AppPath,
    body: {
      content: {
        'multipart/form-data': {
          schema: z.object({
            file: z.file('Send the .mobileprovision file as "file".').openapi({ type: 'string', format: 'binary' }),
            certificateId: Id.optional(),
            appCertificateId: Id.optional(),
          }),
        },
      },
      required: true as const,
    },
  },
  responses: { 201: jsonResponse(ProvisioningProfile, 'The profile') },
})

const linkRoute = defineRoute({
  method: 'patch',
  path: base,
  operationId: 'updateProvisioningProfiles',
  summary: 'Link profiles to a certificate, or unlink them with null: all of them or none',
  access: write,
  request: {
    params: AppPath,
    query: z.object({ ids: Ids }),
    body: jsonBody(
      z
        .object({ appCertificateId: Id.nullable().optional(), certificateId: Id.nullable().optional() })
        .refine((body) => body.appCertificateId !== undefined || body.certificateId !== undefined, {
          path: ['appCertificateId'],
          message: 'name the certificate, or null to unlink',
        }),
    ),
  },
  responses: { 200: jsonResponse(z.array(ProvisioningProfile), 'The profiles') },
})

const listRoute = defineRoute({
  method: 'get',
  path: base,
  operationId: 'listProvisioningProfiles',
  summary: 'Provisioning profiles of an app, newest first',
  access: read,
  request: {
    params: AppPath,
    query: PageQuery.extend({ appCertificateId: Id.optional(), type: z.enum(profileTypes).optional() }),
  },
  responses: { 200: jsonResponse(z.array(ProvisioningProfile), 'Profiles') },
})

const getRoute = defineRoute({
  method: 'get',
  path: `${base}/{provisioningProfileId}`,
  operationId: 'getProvisioningProfile',
  summary: 'One provisioning profile',
  access: read,
  request: { params: ProfilePath },
  responses: { 200: jsonResponse(ProvisioningProfile, 'The profile') },
})

const deleteRoute = defineRoute({
  method: 'delete',
  path: `${base}/{provisioningProfileId}`,
  operationId: 'deleteProvisioningProfile',
  summary: 'Delete a provisioning profile',
  access: write,
  request: { params: ProfilePath },
  responses: { 204: { description: 'Deleted' } },
})

export function registerProvisioningProfileRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createRoute, async (c) => {
    const { appId } = c.req.valid('param')
    const { file, certificateId, appCertificateId } = c.req.valid('form')
    const content = { name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) }
    const input = { appId, file: content, certificateId: appCertificateId ?? certificateId }
    return c.json(presentProfile(await createProfile(c.get('ctx'), input)), 201)
  })
  app.openapi(linkRoute, async (c) => {
    const { appId } = c.req.valid('param')
    const { appCertificateId, certificateId = null } = c.req.valid('json')
    const input = { appId, ids: c.req.valid('query').ids, certificateId: appCertificateId ?? certificateId }
    return c.json((await updateProfiles(c.get('ctx'), input)).map(presentProfile), 200)
  })
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0, ...filter } = c.req.valid('query')
    const input = { ...filter, appId: c.req.valid('param').appId, limit, offset }
    return c.json((await listProfiles(c.get('ctx'), input)).map(presentProfile), 200)
  })
  app.openapi(getRoute, async (c) => {
    const { appId, provisioningProfileId } = c.req.valid('param')
    return c.json(presentProfile(await getProfile(c.get('ctx'), { appId, profileId: provisioningProfileId })), 200)
  })
  app.openapi(deleteRoute, async (c) => {
    const { appId, provisioningProfileId } = c.req.valid('param')
    await deleteProfile(c.get('ctx'), { appId, profileId: provisioningProfileId })
    return c.body(null, 204)
  })
}
