import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What an attacker between app and server does to a bundle, and the signature they send along if it is not the true one. */
export interface Attack {
  readonly tamper: (bundle: Buffer) => Buffer
  readonly signature?: string
}

export interface HostileNetwork {
  readonly url: string
  readonly close: () => Promise<void>
}

/** The answer to an update check, pointing at this network and with the attacker's signature. */
function rewriteAnswer(text: string, apiUrl: string, ownUrl: string, attack: Attack): Buffer {
  const answer = JSON.parse(text.replaceAll(apiUrl, ownUrl)) as Record<string, unknown>
  if ('signature' in answer && attack.signature !== undefined) answer['signature'] = attack.signature
  return Buffer.from(JSON.stringify(answer))
}

async function passOn(
  from: IncomingMessage,
  to: ServerResponse,
  apiUrl: string,
  ownUrl: string,
  attack: Attack,
): Promise<void> {
  const headers = { 'x-capawesome-device-id': String(from.headers['x-capawesome-device-id'] ?? '') }
  const response = await fetch(`${apiUrl}${from.url ?? '/'}`, { headers })
  const received = Buffer.from(await response.arrayBuffer())
  const type = response.headers.get('content-type') ?? 'application/octet-stream'
  const isAnswer = type.includes('json')
  const body = isAnswer ? rewriteAnswer(received.toString('utf8'), apiUrl, ownUrl, attack) : attack.tamper(received)
  const signature = attack.signature ?? response.headers.get('x-signature')
  if (signature !== null && !isAnswer) to.setHeader('x-signature', signature)
  to.writeHead(response.status, { 'content-type': type, 'content-length': body.length }).end(body)
}

/** A network that passes everything on, except that it swaps the bundle. */
export async function openHostileNetwork(apiUrl: string, attack: Attack): Promise<HostileNetwork> {
  let ownUrl = ''
  const server = createServer((request, response) => {
    passOn(request, response, apiUrl, ownUrl, attack).catch(() => response.writeHead(502).end())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  ownUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: ownUrl,
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
