import { type OpenAPIHono, z } from '@hono/zod-openapi'

import type { Env } from '../auth/access.js'
import { createCredential } from '../credentials/create-credential.js'
import { deleteCredential } from '../credentials/delete-credential.js'
import { getCredential } from '../credentials/get-credential.js'
import { listCredentials } from '../credentials/list-credentials.js'
import { cleanFileName } from '../credentials/prepare-version.js'
import { defineRoute, Id, jsonResponse, PageQuery } from '../define-route.js'
import { AppleApiKey, keyKinds, kindOfPurpose, presentAppleApiKey, purposes } from './present-apple-api-key.js'

const AppPath = z.object({ appId: Id })
const KeyPath = z.object({ appId: Id, appleApiKeyId: Id })
const TenCharacters = z.string().regex(/^[A-Z0-9]{10}$/, 'has ten capital letters and digits')

const createRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/apple-api-keys',
  operationId: 'createAppleApiKey',
  summary: 'Upload a key of App Store Connect or of the Apple push service (.p8)',
  access: { kind: 'app', scope: 'credentials:write' },
  request: {
    params: AppPath,
    body: {
      content: {
        'multipart/form-data': {
          schema: z.object({
            file: z.file('Send the .p8 file as the field "file".').openapi({ type: 'string', format: 'binary' }),
            purpose: z.enum(purposes).default('app-store-connect'),
            name: z.string().trim().min(1).max(200).optional(),
            keyId: TenCharacters.optional(),
            // Apple's issuer ids are UUIDs of no RFC variant. Individual keys have none.
            issuerId: z.guid().optional(),
            teamId: TenCharacters.optional(),
          }),
        },
      },
      required: true as const,
    },
  },
  responses: { 201: jsonResponse(AppleApiKey, 'The key, without its file') },
})

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/apple-api-keys',
  operationId: 'listAppleApiKeys',
  summary: 'Apple API keys of an app, newest first',
  access: { kind: 'app', scope: 'credentials:read' },
  request: { params: AppPath, query: PageQuery.extend({ purpose: z.enum(purposes).optional() }) },
  responses: { 200: jsonResponse(z.array(AppleApiKey), 'Keys') },
})

const getRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/apple-api-keys/{appleApiKeyId}',
  operationId: 'getAppleApiKey',
  summary: 'One Apple API key',
  access: { kind: 'app', scope: 'credentials:read' },
  request: { params: KeyPath },
  responses: { 200: jsonResponse(AppleApiKey, 'The key') },
})

const deleteRoute = defineRoute({
  method: 'delete',
  path: '/v1/apps/{appId}/apple-api-keys/{appleApiKeyId}',
  operationId: 'deleteAppleApiKey',
  summary: 'Delete an Apple API key',
  access: { kind: 'app', scope: 'credentials:write' },
  request: { params: KeyPath },
  responses: { 204: { description: 'Deleted' } },
})

export function registerAppleApiKeyRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createRoute, async (c) => {
    const { appId } = c.req.valid('param')
    const { file, purpose, name, keyId, issuerId, teamId } = c.req.valid('form')
    const content = { name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) }
    const stated = { keyId, issuerId, teamId }
    const input = {
      appId,
      kind: kindOfPurpose[purpose],
      name: name ?? keyId ?? cleanFileName(file.name),
      file: content,
      stated,
    }
    return c.json(presentAppleApiKey(await createCredential(c.get('ctx'), input)), 201)
  })
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0, purpose } = c.req.valid('query')
    const kinds = purpose === undefined ? keyKinds : [kindOfPurpose[purpose]]
    const input = { appId: c.req.valid('param').appId, kinds, limit, offset }
    return c.json((await listCredentials(c.get('ctx'), input)).map(presentAppleApiKey), 200)
  })
  app.openapi(getRoute, async (c) => {
    const { appId, appleApiKeyId } = c.req.valid('param')
    const path = { appId, credentialId: appleApiKeyId, kinds: keyKinds }
    return c.json(presentAppleApiKey(await getCredential(c.get('ctx'), path)), 200)
  })
  app.openapi(deleteRoute, async (c) => {
    const { appId, appleApiKeyId } = c.req.valid('param')
    await deleteCredential(c.get('ctx'), { appId, credentialId: appleApiKeyId, kinds: keyKinds })
    return c.body(null, 204)
  })
}
