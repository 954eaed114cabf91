import type { IncomingMessage, ServerResponse } from 'node:http'
import { STATUS_CODES, createServer, request as callOut } from 'node:http'
import type { Duplex } from 'node:stream'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Resolve, Target } from './connect-out.js'
import { connectOut, Refused } from './connect-out.js'
import type { Contact } from './contacted-hosts.js'
import { ContactedHosts } from './contacted-hosts.js'
import type { HostPolicy } from './host-policy.js'

export type EgressProxyOptions = {
  policy: HostPolicy
  /** Told of every host at its first request, and of why it is refused. */
  onContact: (line: string) => void
  onTraffic: () => void
  resolve: Resolve
}

export type EgressProxy = {
  /** Speaks HTTP with a client: `CONNECT host:port`, or a request with an absolute http URL. */
  serve: (client: Duplex) => void
  contacts: ContactedHosts
  close: () => void
}

/** Calls that are open, or being opened, at a time: a client can ask for many over one connection of the relay. */
const maxUpstreams = 256

class Busy extends Error {
  override name = 'Busy'
}

const authority = /^([A-Za-z0-9._-]{1,253}):(\d{1,5})$/

/** The only way out of a build container. What the client says is not trusted; it runs next to the customer's code. */
export function createEgressProxy(options: EgressProxyOptions): EgressProxy {
  const contacts = new ContactedHosts()
  let upstreams = 0
  const release = () => void (upstreams -= 1)
  const call = async (target: Target) => {
    if (upstreams >= maxUpstreams) throw new Busy(`No more than ${maxUpstreams} connections can be open at a time.`)
    upstreams += 1
    const upstream = await connectOut(options.policy, options.resolve, target).catch((error: unknown) => {
      release()
      throw error
    })
    if (upstream.closed) release()
    else upstream.once('close', release)
    return upstream
  }
  const reach = async (target: Target) => {
    const { host, port } = target
    try {
      const upstream = await call(target)
      const { contact, isFirst } = contacts.note(host, port, true)
      if (isFirst) options.onContact(`Network: ${host}:${port} allowed`)
      return { upstream, contact }
    } catch (error) {
      if (error instanceof Busy) throw error
      const isRefusal = error instanceof Refused
      const { isFirst } = contacts.note(host, port, !isRefusal)
      if (isFirst) options.onContact(`Network: ${isRefusal ? 'refused: ' : ''}${sentenceOf(error)}`)
      throw error
    }
  }
  const count = (contact: Contact, side: 'bytesIn' | 'bytesOut') =>
    new Transform({
      transform(chunk: Buffer, _encoding, done) {
        contact[side] += chunk.length
        options.onTraffic()
        done(null, chunk)
      },
    })

  const tunnel = async (line: string, client: Duplex, head: Buffer) => {
    const target = targetOf(line)
    if (target === undefined) return refuse(client, 400, 'The proxy takes CONNECT with a host and a port.')
    const { upstream, contact } = await reach(target)
    if (head.length > 0) client.unshift(head)
    client.write('HTTP/1.1 200 Connection established\r\n\r\n')
    const ways = [
      pipeline(client, count(contact, 'bytesOut'), upstream),
      pipeline(upstream, count(contact, 'bytesIn'), client),
    ]
    // One side went away: the pipelines have closed the other, and there is nobody left to tell.
    await Promise.all(ways).catch(() => upstream.destroy())
  }

  const forward = async (request: IncomingMessage, response: ServerResponse) => {
    const url = absoluteUrl(request.url)
    if (url === undefined) return answer(response, 400, 'This is a proxy: it takes absolute http URLs and CONNECT.')
    const { upstream, contact } = await reach({ host: url.hostname, port: Number(url.port) || 80 })
    // A client that goes away wants no answer any more.
    response.once('close', () => upstream.destroy())
    const outgoing = callOut({
      method: request.method ?? 'GET',
      path: `${url.pathname}${url.search}`,
      headers: { ...endToEnd(request.headers), host: url.host, connection: 'close' },
      createConnection: () => upstream,
    })
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.on('response', resolve).on('error', reject)
    })
    const sent = pipeline(request, count(contact, 'bytesOut'), outgoing)
    sent.catch(() => undefined)
    try {
      const incoming = await answered
      response.writeHead(incoming.statusCode ?? 502, endToEnd(incoming.headers))
      await Promise.all([sent, pipeline(incoming, count(contact, 'bytesIn'), response)])
    } finally {
      upstream.destroy()
    }
  }

  const server = createServer({ maxHeaderSize: 16 * 1024, insecureHTTPParser: false }, (request, response) => {
    forward(request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy()
      else answer(response, statusOf(error), sentenceOf(error))
    })
  })
  // Requests of one connection are handed out without waiting for each other's answers: the second gets a 503.
  server.maxRequestsPerSocket = 1
  server.on('connect', (request: IncomingMessage, client: Duplex, head: Buffer) => {
    tunnel(request.url ?? '', client, head).catch((error: unknown) => {
      if (!client.destroyed) refuse(client, statusOf(error), sentenceOf(error))
    })
  })
  server.on('clientError', (_error, client) => client.destroy())
  return { contacts, serve: (client) => void server.emit('connection', client), close: () => void server.close() }
}

function targetOf(line: string): Target | undefined {
  const [, host = '', port] = authority.exec(line) ?? []
  return normalized(host, Number(port))
}

function absoluteUrl(text: string | undefined): URL | undefined {
  if (text === undefined || !URL.canParse(text)) return undefined
  const url = new URL(text)
  const hasUser = url.username !== '' || url.password !== ''
  return url.protocol === 'http:' && !hasUser && normalized(url.hostname, Number(url.port) || 80) ? url : undefined
}

/** One spelling of each host: `0x7f.1` and `2130706433` are 127.0.0.1 before anything is decided. */
function normalized(host: string, port: number): Target | undefined {
  if (!URL.canParse(`http://${host}`) || !(port >= 1 && port <= 65_535)) return undefined
  const { hostname } = new URL(`http://${host}`)
  return { host: hostname.replace(/\.$/, ''), port }
}

const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

function endToEnd<T>(headers: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !hopByHop.has(name)))
}

function statusOf(error: unknown): number {
  if (error instanceof Busy) return 503
  return error instanceof Refused ? 403 : 502
}

function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return 'The host could not be reached.'
  const { cause } = error
  const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : ''
  return `${error.message}${code}`
}

function answer(response: ServerResponse, status: number, sentence: string): void {
  response.writeHead(status, { 'content-type': 'text/plain', connection: 'close' })
  response.end(`${sentence}\n`)
}

function refuse(client: Duplex, status: number, sentence: string): void {
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n`
  client.end(`${head}${sentence}\n`)
}
