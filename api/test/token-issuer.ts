import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'

export type TokenIssuer = AsyncDisposable & {
  url: string
  /** `host:port`, as the operator names it. */
  host: string
  /** How often its keys were asked for. */
  keyRequests(): number
  /** A token as it issues them, signed with the named key. */
  sign(claims: JWTPayload, options?: { kid?: string; alg?: string }): Promise<string>
  /** Replaces what it says of itself. */
  describe(changes: object): void
  /** What its token endpoint answers with, made of the form it was sent. */
  answerToken(make: (form: URLSearchParams, authorization: string) => Promise<object>): void
  /** What it shows of its key `RS256`. */
  publicJwk(): Record<string, unknown>
}

const algorithms = ['RS256', 'ES256', 'EdDSA', 'RS512']

/** An issuer of tokens on the loopback, as a CI service is one: discovery, keys, and signed tokens. */
export async function startTokenIssuer(): Promise<TokenIssuer> {
  const pairs = await Promise.all(
    algorithms.map(async (alg) => {
      const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
      return { alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid: alg, alg } }
    }),
  )
  let changes: object = {}
  let asked = 0
  let answer: (form: URLSearchParams, authorization: string) => Promise<object> = () => Promise.resolve({})
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    if (request.url === '/jwks') {
      asked += 1
      return response.end(JSON.stringify({ keys: pairs.map(({ jwk }) => jwk) }))
    }
    if (request.url === '/token') {
      void readForm(request)
        .then((form) => answer(form, request.headers.authorization ?? ''))
        .then((body) => response.end(JSON.stringify(body)))
      return response
    }
    if (request.url !== '/.well-known/openid-configuration') return response.writeHead(404).end()
    const described = { issuer: url, jwks_uri: `${url}/jwks`, id_token_signing_alg_values_supported: algorithms }
    const endpoints = { authorization_endpoint: `${url}/authorize`, token_endpoint: `${url}/token` }
    return response.end(JSON.stringify({ ...described, ...endpoints, ...changes }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const url = `http://${host}`
  return {
    url,
    host,
    keyRequests: () => asked,
    sign(claims, { kid = 'RS256', alg = kid } = {}) {
      const pair = pairs.find((one) => one.alg === alg) ?? pairs[0]!
      return new SignJWT(claims).setProtectedHeader({ alg: pair.alg, kid }).sign(pair.privateKey)
    },
    describe: (wanted) => (changes = wanted),
    answerToken: (make) => (answer = make),
    publicJwk: () => pairs[0]!.jwk,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8') as AsyncIterable<string>) text += chunk
  return new URLSearchParams(text)
}
