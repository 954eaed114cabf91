import { OpenCredentialRequest } from '@capstan/migrations/messages'
import type { KeystorePayload } from '@capstan/migrations/messages'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type BrokerServer = AsyncDisposable & {
  socketPath: string
  requests: { authorization: string | undefined; body: OpenCredentialRequest }[]
}

/** The broker's `open` socket; `answer` is what it gives, `undefined` refuses. */
export async function startBroker(
  answer: () => KeystorePayload | undefined | Promise<KeystorePayload | undefined>,
): Promise<BrokerServer> {
  const directory = await mkdtemp(join(tmpdir(), 'capstan-broker-'))
  const socketPath = join(directory, 'open.sock')
  const requests: BrokerServer['requests'] = []
  const server = createServer((request, response) => {
    void (async () => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const body = OpenCredentialRequest.parse(JSON.parse(Buffer.concat(chunks).toString('utf8')))
      requests.push({ authorization: request.headers.authorization, body })
      const payload = await answer()
      response.writeHead(payload === undefined ? 403 : 200, { 'content-type': 'application/json' })
      response.end(JSON.stringify(payload ?? { code: 'refused' }))
    })()
  })
  server.listen(socketPath)
  await once(server, 'listening')
  return {
    socketPath,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await rm(directory, { recursive: true })
    },
  }
}
