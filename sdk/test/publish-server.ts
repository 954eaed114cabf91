import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { platformKeys } from './update-fixture.js'

/** The parts of the server's contract that publishing uses, answering as the contract says and keeping what arrives. */
export interface PublishServer {
  server: Server
  url: string
  calls: { line: string; token: string; body: unknown }[]
  parts: Map<number, Buffer>
  refuse: { status: number; body: object } | null
  platformKeys: object[]
}

async function readBody(request: Request): Promise<unknown> {
  const type = request.headers.get('content-type') ?? ''
  if (!type.startsWith('multipart/')) return request.json()
  const fields = await request.formData()
  const entries = await Promise.all(
    Array.from(
      fields,
      async ([name, value]) =>
        [name, typeof value === 'string' ? value : Buffer.from(await value.arrayBuffer())] as const,
    ),
  )
  return Object.fromEntries(entries)
}

export async function startPublishServer(): Promise<PublishServer> {
  const state = {
    calls: [],
    parts: new Map(),
    refuse: null,
    platformKeys: [{ pem: platformKeys.publicKey }],
  } as unknown as PublishServer
  state.server = createServer((incoming, response) => {
    void (async () => {
      const body = await buffer(incoming)
      const headers = { 'content-type': incoming.headers['content-type'] ?? 'application/json' }
      const parsed = (
        incoming.method === 'GET'
          ? {}
          : await readBody(new Request('http://x/', { method: 'POST', headers, body: Uint8Array.from(body) }))
      ) as Record<string, unknown>
      const line = `${incoming.method} ${incoming.url}`
      state.calls.push({ line, token: incoming.headers.authorization ?? '', body: parsed })
      if (parsed['partNumber']) state.parts.set(Number(parsed['partNumber']), parsed['blob'] as Buffer)
      const answers: [RegExp, object][] = [
        [/platform-keys/, state.platformKeys],
        [/mpu-create/, { uploadId: 'upload_1' }],
        [/mpu-uploadpart/, { partNumber: Number(parsed['partNumber']), etag: 'e' }],
        [/mpu-complete/, {}],
        [/\/files$/, { id: 'file-1' }],
        [/^PATCH/, { id: 'bundle-1', appDeploymentId: 'deployment-1' }],
        [/./, { id: 'bundle-1', appBuildId: 'build-1' }],
      ]
      const answer = state.refuse?.body ?? answers.find(([pattern]) => pattern.test(line))![1]
      response
        .writeHead(state.refuse?.status ?? 200, { 'content-type': 'application/json' })
        .end(JSON.stringify(answer))
    })()
  })
  await new Promise<void>((resolve) => state.server.listen(0, '127.0.0.1', resolve))
  state.url = `http://127.0.0.1:${(state.server.address() as AddressInfo).port}`
  return state
}
