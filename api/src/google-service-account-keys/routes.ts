import { type OpenAPIHono, z } from '@hono/zod-openapi'

import type { Env } from '../auth/access.js'
import { createCredential } from '../credentials/create-credential.js'
import { deleteCredential } from '../credentials/delete-credential.js'
import { getCredential } from '../credentials/get-credential.js'
import { listCredentials } from '../credentials/list-credentials.js'
import { cleanFileName } from '../credentials/prepare-version.js'
import { defineRoute, Id, jsonResponse, PageQuery } from '../define-route.js'
import {
  GoogleServiceAccountKey,
  presentServiceAccountKey,
  serviceAccountKinds as kinds,
} from './present-service-account-key.js'

const AppPath = z.object({ appId: Id })
const KeyPath = z.object({ appId: Id, googleServiceAccountKeyId: Id })

const createRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/google-service-account-keys',
  operationId: 'createGoogleServiceAccountKey',
  summary: 'Upload the JSON key of a Google service account',
  access: { kind: 'app', scope: 'credentials:write' },
  request: {
    params: AppPath,
    body: {
      content: {
        'multipart/form-data': {
          schema: z.object({
            file: z.file('Send the JSON key as the field "file".').openapi({ type: 'string', format: 'binary' }),
            name: z.string().trim().min(1).max(200).optional(),
          }),
        },
      },
      required: true as const,
    },
  },
  responses: { 201: jsonResponse(GoogleServiceAccountKey, 'The key, without its file') },
})

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/google-service-account-keys',
  operationId: 'listGoogleServiceAccountKeys',
  summary: 'Google service account keys of an app, newest first',
  access: { kind: 'app', scope: 'credentials:read' },
  request: { params: AppPath, query: PageQuery },
  responses: { 200: jsonResponse(z.array(GoogleServiceAccountKey), 'Keys') },
})

const getRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/google-service-account-keys/{googleServiceAccountKeyId}',
  operationId: 'getGoogleServiceAccountKey',
  summary: 'One Google service account key',
  access: { kind: 'app', scope: 'credentials:read' },
  request: { params: KeyPath },
  responses: { 200: jsonResponse(GoogleServiceAccountKey, 'The key') },
})

const deleteRoute = defineRoute({
  method: 'delete',
  path: '/v1/apps/{appId}/google-service-account-keys/{googleServiceAccountKeyId}',
  operationId: 'deleteGoogleServiceAccountKey',
  summary: 'Delete a Google service account key',
  access: { kind: 'app', scope: 'credentials:write' },
  request: { params: KeyPath },
  responses: { 204: { description: 'Deleted' } },
})

export function registerGoogleServiceAccountKeyRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createRoute, async (c) => {
    const { appId } = c.req.valid('param')
    const { file, name } = c.req.valid('form')
    const content = { name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) }
    const input = {
      appId,
      kind: 'google.service-account' as const,
      name: name ?? cleanFileName(file.name),
      file: content,
    }
    return c.json(presentServiceAccountKey(await createCredential(c.get('ctx'), input)), 201)
  })
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0 } = c.req.valid('query')
    const input = { appId: c.req.valid('param').appId, kinds, limit, offset }
    return c.json((await listCredentials(c.get('ctx'), input)).map(presentServiceAccountKey), 200)
  })
  app.openapi(getRoute, async (c) => {
    const { appId, googleServiceAccountKeyId } = c.req.valid('param')
    const path = { appId, credentialId: googleServiceAccountKeyId, kinds }
    return c.json(presentServiceAccountKey(await getCredential(c.get('ctx'), path)), 200)
  })
  app.openapi(deleteRoute, async (c) => {
    const { appId, googleServiceAccountKeyId } = c.req.valid('param')
    await deleteCredential(c.get('ctx'), { appId, credentialId: googleServiceAccountKeyId, kinds })
    return c.body(null, 204)
  })
}
