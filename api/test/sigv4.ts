import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export type Keys = { accessKeyId: string; secretAccessKey: string; region: string }
export type SignedRequest = { method: string; url: string; headers: IncomingHttpHeaders; payloadHash: string | null }

/**
 * Checks AWS Signature Version 4 in the header or in the query, as S3 does. Answers null when it holds, otherwise the
 * S3 error code. `payloadHash`: SHA-256 hex of the body when the server has it, null when it streams.
 */
export function checkSignature(request: SignedRequest, keys: Keys, now: Date): string | null {
  const url = new URL(request.url, 'http://server')
  return url.searchParams.has('X-Amz-Signature')
    ? checkQuery(request, url, keys, now)
    : checkHeader(request, url, keys, now)
}

function checkHeader(request: SignedRequest, url: URL, keys: Keys, now: Date): string | null {
  const match = /^AWS4-HMAC-SHA256 Credential=([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
    request.headers.authorization ?? '',
  )
  const [, credential, signedHeaders, signature] = match ?? []
  const date = text(request.headers['x-amz-date'])
  if (!credential || !signedHeaders || !signature) return 'AccessDenied'
  if (Math.abs(parseDate(date) - now.getTime()) > 15 * 60_000) return 'RequestTimeTooSkewed'
  const declared = text(request.headers['x-amz-content-sha256'])
  if (/^[0-9a-f]{64}$/.test(declared) && request.payloadHash !== null && declared !== request.payloadHash) {
    return 'XAmzContentSHA256Mismatch'
  }
  // S3 refuses a request whose x-amz- headers are not all under the signature.
  const unsigned = Object.keys(request.headers).filter(
    (name) => name.startsWith('x-amz-') && !signedHeaders.split(';').includes(name),
  )
  if (unsigned.length > 0) return 'AccessDenied'
  return verify({ request, url, keys, credential, signedHeaders, signature, date, payload: declared })
}

function checkQuery(request: SignedRequest, url: URL, keys: Keys, now: Date): string | null {
  const query = (name: string) => url.searchParams.get(name) ?? ''
  const date = query('X-Amz-Date')
  const expires = Number(query('X-Amz-Expires'))
  if (query('X-Amz-Algorithm') !== 'AWS4-HMAC-SHA256' || !(expires > 0 && expires <= 604_800)) {
    return 'AuthorizationQueryParametersError'
  }
  if (now.getTime() > parseDate(date) + expires * 1000) return 'AccessDenied'
  return verify({
    request,
    url,
    keys,
    credential: query('X-Amz-Credential'),
    signedHeaders: query('X-Amz-SignedHeaders'),
    signature: query('X-Amz-Signature'),
    date,
    payload: 'UNSIGNED-PAYLOAD',
  })
}

type Claim = {
  request: SignedRequest
  url: URL
  keys: Keys
  credential: string
  signedHeaders: string
  signature: string
  date: string
  payload: string
}

function verify({ request, url, keys, credential, signedHeaders, signature, date, payload }: Claim): string | null {
  const scope = `${date.slice(0, 8)}/${keys.region}/s3/aws4_request`
  if (credential !== `${keys.accessKeyId}/${scope}`) return 'InvalidAccessKeyId'
  if (!signedHeaders.split(';').includes('host')) return 'AccessDenied'
  const canonicalQuery = [...url.searchParams]
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort((a, b) => (a < b ? -1 : 1))
    .join('&')
  const canonicalHeaders = signedHeaders
    .split(';')
    .map((name) => `${name}:${text(request.headers[name]).trim().replace(/ +/g, ' ')}\n`)
    .join('')
  const path = decodeURIComponent(url.pathname).split('/').map(encode).join('/')
  const canonical = [request.method, path, canonicalQuery, canonicalHeaders, signedHeaders, payload].join('\n')
  const toSign = ['AWS4-HMAC-SHA256', date, scope, createHash('sha256').update(canonical).digest('hex')].join('\n')
  const hmac = (key: string | Buffer, value: string) => createHmac('sha256', key).update(value).digest()
  const key = ['s3', 'aws4_request'].reduce(
    hmac,
    hmac(hmac(`AWS4${keys.secretAccessKey}`, date.slice(0, 8)), keys.region),
  )
  const expected = hmac(key, toSign).toString('hex')
  return timingSafeEqual(Buffer.from(expected), Buffer.from(signature.padEnd(64).slice(0, 64)))
    ? null
    : 'SignatureDoesNotMatch'
}

function parseDate(text: string): number {
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text) ?? []
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
}

function encode(value: string): string {
  return encodeURIComponent(value).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

function text(value: string | string[] | undefined): string {
  return Array.isArray(value) ? value.join(',') : (value ?? '')
}
