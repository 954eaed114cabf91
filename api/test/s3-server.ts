import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { crc32 } from 'node:zlib'

import { checkSignature, type Keys } from './sigv4.js'

type StoredEntry = { body: Buffer; contentType: string; sha256: string | null }

export type S3TestServer = {
  endpoint: string
  keys: Keys
  objects: Map<string, StoredEntry>
  /** Headers of every accepted PUT, in order. */
  puts: IncomingMessage['headers'][]
  /** Every refusal, `<status> <code>`. */
  refusals: string[]
  /** Moves the server's clock, to let signatures expire. */
  skewMs: number
  /** Keys that stay, whoever deletes them among others. */
  undeletable: Set<string>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * As much of S3 as the driver speaks, strict where S3 is: signatures are verified, checksums (also as trailers of
 * `aws-chunked` bodies) compared, `If-None-Match: *` honoured, and uploads without SSE-KMS refused when a key is
 * required. Not an S3 server: it proves the driver's requests, not S3's answers.
 */
export async function startS3Server(options: { bucket: string; requireKmsKey?: string }): Promise<S3TestServer> {
  const state: S3TestServer = {
    endpoint: '',
    keys: { accessKeyId: 'test-access', secretAccessKey: 'test-secret', region: 'eu-test-1' },
    objects: new Map(),
    puts: [],
    refusals: [],
    skewMs: 0,
    undeletable: new Set(),
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
  const server = createServer((request, response) => {
    handle(state, options, request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  state.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return state
}

type Options = { bucket: string; requireKmsKey?: string }
type Refuse = (status: number, code: string) => void

async function handle(state: S3TestServer, options: Options, request: IncomingMessage, response: ServerResponse) {
  const pieces: Buffer[] = []
  for await (const piece of request) pieces.push(piece as Buffer)
  const raw = Buffer.concat(pieces)
  const refuse: Refuse = (status, code) => {
    state.refusals.push(`${status} ${code}`)
    response.writeHead(status, { 'content-type': 'application/xml' })
    response.end(request.method === 'HEAD' ? '' : `<Error><Code>${code}</Code><Message>${code}</Message></Error>`)
  }
  const method = request.method ?? 'GET'
  const url = request.url ?? '/'
  const payloadHash = createHash('sha256').update(raw).digest('hex')
  const wrong = checkSignature(
    { method, url, headers: request.headers, payloadHash },
    state.keys,
    new Date(Date.now() + state.skewMs),
  )
  if (wrong !== null) return refuse(403, wrong)
  const { pathname, searchParams } = new URL(url, 'http://server')
  const [, bucket, ...rest] = decodeURIComponent(pathname).split('/')
  if (bucket !== options.bucket) return refuse(404, 'NoSuchBucket')
  const key = rest.join('/')
  if (method === 'GET' && key === '') return list(state, searchParams, response)
  if (method === 'POST' && searchParams.has('delete')) return deleteMany(state, request, { raw, response, refuse })
  if (method === 'PUT') return put(state, options, { key, raw, request, response, refuse })
  if (method === 'DELETE') {
    state.objects.delete(key)
    return response.writeHead(204).end()
  }
  return send(state.objects.get(key), method, searchParams, { request, response, refuse })
}

type Put = { key: string; raw: Buffer; request: IncomingMessage; response: ServerResponse; refuse: Refuse }

function put(state: S3TestServer, options: Options, { key, raw, request, response, refuse }: Put): void {
  const { headers } = request
  const chunked = (headers['x-amz-content-sha256'] ?? '').toString().startsWith('STREAMING-')
  const decoded = chunked ? decodeChunked(raw) : { body: raw, trailers: new Map<string, string>() }
  if (decoded === null) return refuse(400, 'IncompleteBody')
  const { body, trailers } = decoded
  if (chunked && Number(headers['x-amz-decoded-content-length']) !== body.length) return refuse(400, 'IncompleteBody')
  const checksum = (name: string) => trailers.get(name) ?? headers[name]?.toString()
  const sha256 = createHash('sha256').update(body).digest('base64')
  const crc = Buffer.alloc(4)
  crc.writeUInt32BE(crc32(body))
  for (const [name, value] of [
    ['x-amz-checksum-sha256', sha256],
    ['x-amz-checksum-crc32', crc.toString('base64')],
  ] as const) {
    const given = checksum(name)
    if (given !== undefined && given !== value) return refuse(400, 'BadDigest')
  }
  if (headers['if-none-match'] === '*' && state.objects.has(key)) return refuse(412, 'PreconditionFailed')
  const kmsKey = headers['x-amz-server-side-encryption-aws-kms-key-id']
  const encrypted = headers['x-amz-server-side-encryption'] === 'aws:kms' && kmsKey === options.requireKmsKey
  if (options.requireKmsKey !== undefined && !encrypted) return refuse(403, 'AccessDenied')
  state.puts.push(headers)
  const given = checksum('x-amz-checksum-sha256') ?? null
  state.objects.set(key, { body, contentType: headers['content-type'] ?? '', sha256: given })
  response.writeHead(200, { etag: '"0"' }).end()
}

/** `<hex length>[;chunk-signature=…]\r\n<bytes>\r\n … 0\r\n<trailers>\r\n\r\n`; null when it is cut or malformed. */
export function decodeChunked(raw: Buffer): { body: Buffer; trailers: Map<string, string> } | null {
  const chunks: Buffer[] = []
  let offset = 0
  for (;;) {
    const lineEnd = raw.indexOf('\r\n', offset)
    if (lineEnd < 0) return null
    const size = Number.parseInt(raw.toString('latin1', offset, lineEnd).split(';')[0] ?? '', 16)
    offset = lineEnd + 2
    if (!Number.isSafeInteger(size)) return null
    if (size === 0) break
    if (offset + size + 2 > raw.length) return null
    chunks.push(raw.subarray(offset, offset + size))
    offset += size + 2
  }
  const trailers = new Map<string, string>()
  for (const line of raw.toString('latin1', offset).split('\r\n')) {
    const split = line.indexOf(':')
    if (split > 0) trailers.set(line.slice(0, split).toLowerCase(), line.slice(split + 1).trim())
  }
  return { body: Buffer.concat(chunks), trailers }
}

type Exchange = { request: IncomingMessage; response: ServerResponse; refuse: Refuse }

function send(entry: StoredEntry | undefined, method: string, query: URLSearchParams, exchange: Exchange): void {
  const { request, response, refuse } = exchange
  if (entry === undefined) return refuse(404, method === 'HEAD' ? 'NotFound' : 'NoSuchKey')
  const headers: Record<string, string> = { 'content-type': entry.contentType, 'accept-ranges': 'bytes' }
  if (request.headers['x-amz-checksum-mode'] === 'ENABLED' && entry.sha256 !== null) {
    headers['x-amz-checksum-sha256'] = entry.sha256
  }
  const disposition = query.get('response-content-disposition')
  if (disposition !== null) headers['content-disposition'] = disposition
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')
  const [start, end] = range ? [Number(range[1]), Number(range[2])] : [0, entry.body.length - 1]
  if (range && start >= entry.body.length) return refuse(416, 'InvalidRange')
  const body = entry.body.subarray(start, end + 1)
  headers['content-length'] = String(body.length)
  if (range) headers['content-range'] = `bytes ${start}-${end}/${entry.body.length}`
  response.writeHead(range ? 206 : 200, headers).end(method === 'HEAD' ? '' : body)
}

type Deletion = { raw: Buffer; response: ServerResponse; refuse: Refuse }

/** As S3: a checksum has to come with the list, and what is refused stands in an answer of 200. */
function deleteMany(state: S3TestServer, { headers }: IncomingMessage, { raw, response, refuse }: Deletion): void {
  const crc = Buffer.alloc(4)
  crc.writeUInt32BE(crc32(raw))
  if (headers['x-amz-checksum-crc32'] !== crc.toString('base64')) return refuse(400, 'BadDigest')
  const keys = Array.from(raw.toString('utf8').matchAll(/<Key>([^<]+)<\/Key>/g), ([, key]) => key!)
  if (keys.length === 0 || keys.length > 1000) return refuse(400, 'MalformedXML')
  const errors = keys.map((key) => {
    if (state.undeletable.has(key)) return `<Error><Key>${key}</Key><Code>AccessDenied</Code></Error>`
    state.objects.delete(key)
    return ''
  })
  response.writeHead(200, { 'content-type': 'application/xml' })
  response.end(`<DeleteResult>${errors.join('')}</DeleteResult>`)
}

/** Three keys a page, so that a driver that forgets paging is found out; a page begins after a key, whatever went meanwhile. */
function list(state: S3TestServer, query: URLSearchParams, response: ServerResponse): void {
  const after = query.get('continuation-token') ?? ''
  const isAsked = (key: string) => key.startsWith(query.get('prefix') ?? '') && key > after
  const keys = [...state.objects.keys()].filter(isAsked).sort()
  const page = keys.slice(0, 3)
  const more = keys.length > 3
  const contents = page.map(
    (key) => `<Contents><Key>${key}</Key><Size>${state.objects.get(key)?.body.length}</Size></Contents>`,
  )
  const next = more ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : ''
  response.writeHead(200, { 'content-type': 'application/xml' })
  response.end(`<ListBucketResult><IsTruncated>${more}</IsTruncated>${next}${contents.join('')}</ListBucketResult>`)
}
