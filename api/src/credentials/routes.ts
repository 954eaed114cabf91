import { type OpenAPIHono, z } from '@hono/zod-openapi'

import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery } from '../define-route.js'
import { createCredential } from './create-credential.js'
import { deleteCredential } from './delete-credential.js'
import { deleteCredentialNamed } from './delete-credential-named.js'
import { getCredential } from './get-credential.js'
import { listCredentials } from './list-credentials.js'
import { Certificate, certificateKindOf, platforms, presentCredential, types } from './present-credential.js'
import { updateCredential } from './update-credential.js'

// The official CLI speaks of certificates; inside they are credentials: a keystore, an Apple identity, a web signing key.
const AppPath = z.object({ appId: Id })
const CertificatePath = z.object({ appId: Id, certificateId: Id })
const Name = z.string().trim().min(1).max(200)
// Signing tools read a password as one line of a file.
const OneLine = z
  .string()
  .max(1024)
  .regex(/^[^\r\n\0]*$/, 'must not have a line break')

const createRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/certificates',
  operationId: 'createCertificate',
  summary: 'Upload a signing certificate',
  access: { kind: 'app', scope: 'credentials:write' },
  request: {
    params: AppPath,
    body: {
      content: {
        'multipart/form-data': {
          schema: z.object({
            file: z.file('Send the keystore as the file field "file".').openapi({ type: 'string', format: 'binary' }),
            name: Name,
            platform: z.enum(platforms),
            password: OneLine.optional(),
            keyAlias: OneLine.optional(),
            keyPassword: OneLine.optional(),
          }),
        },
      },
      required: true as const,
    },
  },
  responses: { 201: jsonResponse(Certificate, 'The certificate, without its file and passwords') },
})

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/certificates',
  operationId: 'listCertificates',
  summary: 'Certificates of an app, newest first',
  access: { kind: 'app', scope: 'credentials:read' },
  request: {
    params: AppPath,
    query: PageQuery.extend({
      name: z.string().optional(),
      platform: z.enum(platforms).optional(),
      type: z.enum(types).optional(),
      query: z.string().max(200).optional(),
    }),
  },
  responses: { 200: jsonResponse(z.array(Certificate), 'Certificates') },
})

const getRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/certificates/{certificateId}',
  operationId: 'getCertificate',
  summary: 'One certificate',
  access: { kind: 'app', scope: 'credentials:read' },
  request: { params: CertificatePath },
  responses: { 200: jsonResponse(Certificate, 'The certificate') },
})

const updateRoute = defineRoute({
  method: 'patch',
  path: '/v1/apps/{appId}/certificates/{certificateId}',
  operationId: 'updateCertificate',
  summary: 'Rename a certificate',
  access: { kind: 'app', scope: 'credentials:write' },
  request: {
    params: CertificatePath,
    body: jsonBody(
      z.object({
        name: Name.optional(),
        password: z.string().optional(),
        keyAlias: z.string().optional(),
        keyPassword: z.string().optional(),
      }),
    ),
  },
  responses: { 200: jsonResponse(Certificate, 'The certificate') },
})

const deleteRoute = defineRoute({
  method: 'delete',
  path: '/v1/apps/{appId}/certificates/{certificateId}',
  operationId: 'deleteCertificate',
  summary: 'Delete a certificate with all its versions',
  access: { kind: 'app', scope: 'credentials:write' },
  request: { params: CertificatePath },
  responses: { 204: { description: 'Deleted' } },
})

const deleteNamedRoute = defineRoute({
  method: 'delete',
  path: '/v1/apps/{appId}/certificates',
  operationId: 'deleteCertificateNamed',
  summary: 'Delete the certificate of a name, with all its versions',
  access: { kind: 'app', scope: 'credentials:write' },
  request: {
    params: AppPath,
    query: z.object({ name: Name, platform: z.enum(platforms).optional(), type: z.enum(types).optional() }),
  },
  responses: { 204: { description: 'Deleted' } },
})

export function registerCredentialRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createRoute, async (c) => {
    const { appId } = c.req.valid('param')
    const { file, name, platform, password, keyAlias, keyPassword } = c.req.valid('form')
    const content = { name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) }
    const kind = certificateKindOf[platform]
    const input = { appId, file: content, name, kind, password, keyAlias, keyPassword }
    return c.json(presentCredential(await createCredential(c.get('ctx'), input)), 201)
  })
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0, ...filter } = c.req.valid('query')
    const input = { ...filter, appId: c.req.valid('param').appId, limit, offset }
    return c.json((await listCredentials(c.get('ctx'), input)).map(presentCredential), 200)
  })
  app.openapi(getRoute, async (c) => {
    const { appId, certificateId } = c.req.valid('param')
    return c.json(presentCredential(await getCredential(c.get('ctx'), { appId, credentialId: certificateId })), 200)
  })
  app.openapi(updateRoute, async (c) => {
    const { appId, certificateId } = c.req.valid('param')
    const { name, ...secrets } = c.req.valid('json')
    const wanted = Object.entries(secrets).flatMap(([key, value]) => (value === undefined ? [] : [key]))
    const input = { appId, credentialId: certificateId, name, secrets: wanted }
    return c.json(presentCredential(await updateCredential(c.get('ctx'), input)), 200)
  })
  app.openapi(deleteRoute, async (c) => {
    const { appId, certificateId } = c.req.valid('param')
    await deleteCredential(c.get('ctx'), { appId, credentialId: certificateId })
    return c.body(null, 204)
  })
  app.openapi(deleteNamedRoute, async (c) => {
    const { appId } = c.req.valid('param')
    await deleteCredentialNamed(c.get('ctx'), { appId, ...c.req.valid('query') })
    return c.body(null, 204)
  })
}
