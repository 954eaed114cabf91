import { once } from 'node:events'
import { type IncomingMessage, request as requestPlain, type RequestOptions } from 'node:http'
import { request as requestTls } from 'node:https'
import { isNamedHost } from './check-host.js'
import { faultOfOutboundUrl } from './check-outbound-url.js'
import { judgedAddresses, type Resolve, resolveByHost } from './judge-addresses.js'
import { OutboundError } from './outbound-error.js'

export type OutboundRequest = {
  method?: 'GET' | 'POST'
  headers?: Readonly<Record<string, string>>
  body?: string | Uint8Array
}

/** Calls a host that somebody else named: an organization's identity provider, the receiver of its webhooks. */
export type Outbound = (url: string | URL, request?: OutboundRequest) => Promise<Response>

export type OutboundRules = {
  /** `host` or `host:port` of the operator's own networks that may be called all the same, also by http. */
  privateHosts: readonly string[]
  timeoutMs?: number
  maxResponseBytes?: number
  resolve?: Resolve
}

const TIMEOUT_MS = 5_000
/** Several times the largest set of keys that is known; those of hundreds of issuers are remembered. */
const MAX_RESPONSE_BYTES = 64 * 1024

/**
 * Each call looks its host up once, judges every address and connects to one of those, so a name that changes its mind in
 * between changes nothing. No redirect is followed, TLS is verified, and time and size have an end.
 */
export function createOutbound(rules: OutboundRules): Outbound {
  const { timeoutMs = TIMEOUT_MS, maxResponseBytes = MAX_RESPONSE_BYTES } = rules
  return async (address, request = {}) => {
    const url = new URL(address)
    const signal = AbortSignal.timeout(timeoutMs)
    try {
      const answer = await send(url, request, { ...rules, signal })
      return await receive(answer, url, maxResponseBytes)
    } catch (error) {
      if (error instanceof OutboundError) throw error
      if (signal.aborted) throw new OutboundError('timed-out', `${url.host} did not answer within ${timeoutMs} ms.`)
      throw new OutboundError('unreachable', `${url.host} cannot be reached: ${reasonOf(error)}.`, { cause: error })
    }
  }
}

async function send(
  url: URL,
  { method = 'GET', headers = {}, body }: OutboundRequest,
  { privateHosts, resolve = resolveByHost, signal }: OutboundRules & { signal: AbortSignal },
): Promise<IncomingMessage> {
  const fault = faultOfOutboundUrl(url.href, privateHosts)
  if (fault !== null) throw new OutboundError('url-refused', `This address is not called: ${fault}.`)
  const [first, ...more] = await orAborted(judgedAddresses(url, isNamedHost(url, privateHosts), resolve), signal)
  const addresses = [first, ...more]
  const options: RequestOptions = {
    method,
    headers: { 'user-agent': 'Capstan', 'accept-encoding': 'identity', ...headers },
    // A connection that was kept open would outlive the judgement of its address.
    agent: false,
    signal,
    // Node asks this for names only; a literal is connected to as it was judged.
    lookup: (_host, { all }, done) => (all ? done(null, addresses) : done(null, first.address, first.family)),
  }
  const call =
    url.protocol === 'https:' ? requestTls(url, { ...options, rejectUnauthorized: true }) : requestPlain(url, options)
  call.end(body)
  const [answer] = (await once(call, 'response', { signal })) as [IncomingMessage]
  return answer
}

async function receive(answer: IncomingMessage, url: URL, maxBytes: number): Promise<Response> {
  const { statusCode = 0, headers } = answer
  const isRedirect = statusCode >= 300 && statusCode < 400
  if (isRedirect || statusCode < 200 || statusCode > 599) {
    answer.destroy()
    const sentence = isRedirect
      ? `${url.host} answers with a redirect, and redirects are not followed. Use the address that it leads to.`
      : `${url.host} does not answer in HTTP.`
    throw new OutboundError(isRedirect ? 'redirect-refused' : 'unreachable', sentence)
  }
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length
    // Leaving the loop ends the connection.
    if (size > maxBytes) throw new OutboundError('response-too-large', `The answer of ${url.host} is too large.`)
    chunks.push(chunk)
  }
  const body = statusCode === 204 || statusCode === 205 ? null : Buffer.concat(chunks)
  return new Response(body, { status: statusCode, headers: { 'content-type': headers['content-type'] ?? '' } })
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true })
  })
  return Promise.race([work, aborted])
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const plain = /^(E[A-Z]+|CERT_[A-Z_]+|[A-Z_]*CERT[A-Z_]*|ERR_TLS_[A-Z_]+|DEPTH_[A-Z_]+)$/.test(code)
  return plain ? code : 'the connection failed'
}
