import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import { writeArchive } from '@capstan/sdk/archive'
import { expect } from 'vitest'
import type { Answer, Fixture, TestOrganization } from './fixture.js'

/** What tests read of an answer's body; the rest is compared as a whole. */
export type Body = {
  id: string
  appBuildId: string
  appDeploymentId: string
  bundleId: string
  uploadId: string
  url: string
  message: string
  [key: string]: unknown
}

export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

/** A zip as the packer of the SDK makes it. */
export function zipOf(files: Record<string, string>): Uint8Array<ArrayBuffer> {
  const inputs = Object.entries(files).map(([path, text]) => ({ path, content: new TextEncoder().encode(text) }))
  return writeArchive(inputs, (content) => deflateRawSync(content))
}

export type KeyPair = { publicPem: string; privatePem: string; sign(bytes: Uint8Array | string): string }

/** A customer's key pair; signs as the official CLI does. */
export function createKeyPair(modulusLength = 2048): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  return {
    publicPem: publicKey,
    privatePem: privateKey,
    sign: (bytes) => sign('sha256', Buffer.from(bytes), privateKey).toString('base64'),
  }
}

export type FileForm = {
  content?: Uint8Array<ArrayBuffer> | undefined
  checksum?: string
  href?: string
  name?: string
  signature?: string
  sizeInBytes?: number
}

/** One app of an organization with the calls that its developer and its devices make. */
export async function createLiveUpdateApp(fixture: Fixture, org: TestOrganization, name = 'Shop') {
  const token = org.tokens.admin
  const created = await fixture.request('POST', '/v1/apps', { token, body: { name, type: 'capacitor' } })
  const { id: appId } = await created.json<Body>()
  const path = `/v1/apps/${appId}`

  const call = async (method: string, rest: string, body?: unknown, as: string | null = token) =>
    fixture.request(method, `${path}${rest}`, { ...(as === null ? {} : { token: as }), body })
  const must = async <T = Body>(method: string, rest: string, body?: unknown): Promise<T> => {
    const response = await call(method, rest, body)
    const text = await response.text()
    expect(response.status, text).toBeLessThan(300)
    return (text === '' ? null : JSON.parse(text)) as T
  }
  const sendFile = (bundleId: string, { content, checksum, href, name, signature, sizeInBytes }: FileForm) => {
    const form = new FormData()
    form.append('checksum', checksum ?? sha256(content ?? ''))
    if (content) form.append('file', new Blob([content]), name ?? 'bundle.zip')
    if (href !== undefined) form.append('href', href)
    form.append('mimeType', 'application/zip')
    form.append('name', name ?? 'bundle.zip')
    if (signature !== undefined) form.append('signature', signature)
    form.append('sizeInBytes', String(sizeInBytes ?? content?.byteLength ?? 0))
    return fixture.request('POST', `${path}/bundles/${bundleId}/files`, { token, body: form })
  }
  /** Uploads and finishes a zip bundle; gives the answer of the last step. */
  const publishZip = async (
    content: Uint8Array<ArrayBuffer>,
    options: { bundle?: object; signature?: string; release?: object } = {},
  ) => {
    const bundle = await must('POST', '/bundles', { artifactType: 'zip', ...options.bundle })
    const sent = await sendFile(bundle.id, {
      content,
      ...(options.signature === undefined ? {} : { signature: options.signature }),
    })
    if (sent.status >= 300) return { bundle, response: sent }
    const { id: appBundleFileId } = await sent.json<Body>()
    const body = { artifactStatus: 'ready', appBundleFileId, ...(options.release ? { release: options.release } : {}) }
    return { bundle, response: await call('PATCH', `/bundles/${bundle.id}`, body) }
  }
  /** What a device gets; `query` is sent as it stands. */
  const latest = (query = '', as: string | null = null) => call('GET', `/bundles/latest?${query}`, undefined, as)
  return { appId, path, token, call, must, sendFile, publishZip, latest }
}

export type LiveUpdateApp = Awaited<ReturnType<typeof createLiveUpdateApp>>

/** Expects a refusal with this code; gives its sentence. */
export async function refusal(response: Answer, status: number, code: string): Promise<string> {
  const text = await response.text()
  expect(response.status, text).toBe(status)
  const problem = JSON.parse(text) as { code: string; message: string; detail: string }
  expect(problem.code, text).toBe(code)
  expect(problem.message).toBe(problem.detail)
  return problem.message
}

/** The query of a device on Android that asks for a channel. */
export const android = (channelName: string, deviceId = '8b0f7c1e-8f51-4b6a-9c3e-000000000001', more = '') =>
  `appVersionCode=10&appVersionName=1.0.0&bundleId&channelName=${channelName}&customId&deviceId=${deviceId}&osVersion=34&platform=0&pluginVersion=8.4.3${more}`
