import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { at, capstan, useHome } from './cli-lab.js'

/** Stands for GitHub and for the server; `api/test/ci-token-cli.test.ts` runs the command against the real one. */
let server: Server
let url: string
let asked: { method: string; url: string; authorization: string; body: string }[] = []
const token = `ca_${'0'.repeat(36)}`

useHome()
beforeAll(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url: path = '', headers } = request
      asked.push({
        method,
        url: path,
        authorization: headers.authorization ?? '',
        body: Buffer.concat(chunks).toString(),
      })
      response.setHeader('content-type', 'application/json')
      if (path.startsWith('/github')) return response.end(JSON.stringify({ value: 'a.b.c' }))
      return response.end(JSON.stringify({ access_token: token, expires_in: 900, scope: 'apps:read' }))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
beforeEach(() => void (asked = []))
afterAll(() => void server.close())

const run = (args: string[], variables: Record<string, string> = {}, input = '') =>
  capstan(['ci-token', '--policy', 'p-1', '--server', url, ...args], {
    variable: (name) => variables[name] ?? null,
    readInput: () => Promise.resolve(input),
  })
const github = () => ({
  ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/github?api-version=2`,
  ACTIONS_ID_TOKEN_REQUEST_TOKEN: 's3',
})

test('a job of GitHub asks for its token, for this server, and exchanges it', async () => {
  const { code, out, err } = await run([], github())
  expect([code, out, err]).toEqual([0, [token], ['The token works for 900 seconds: apps:read']])
  expect(asked[0]).toMatchObject({ method: 'GET', authorization: 'bearer s3' })
  expect(new URL(asked[0]!.url, url).searchParams.get('audience')).toBe(url)
  expect(new URL(asked[0]!.url, url).searchParams.get('api-version')).toBe('2')
  expect(Object.fromEntries(new URLSearchParams(asked[1]!.body))).toEqual({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    audience: 'p-1',
    subject_token: 'a.b.c',
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
  })
})

test('another service gives its token in a file or on standard input', async () => {
  writeFileSync(at('id-token'), 'd.e.f\n')
  expect((await run(['--id-token-file', at('id-token')])).out).toEqual([token])
  expect((await run(['--id-token-file', '-'], {}, 'g.h.i')).out).toEqual([token])
  expect(asked.map(({ body }) => new URLSearchParams(body).get('subject_token'))).toEqual(['d.e.f', 'g.h.i'])
})

test('the token goes into a file of one’s own, and GitHub hides it from then on', async () => {
  const { code, out } = await run(['--out', at('api-token')], { ...github(), GITHUB_ACTIONS: 'true' })
  expect([code, out]).toEqual([0, [`::add-mask::${token}`]])
  expect([readFileSync(at('api-token'), 'utf8'), statSync(at('api-token')).mode & 0o777]).toEqual([token, 0o600])
  expect((await run(['--out', at('api-token')], github())).err[0]).toContain('exists already')
})

test.each<[string, string[], Record<string, string>]>([
  ['without a way to a token', [], {}],
  ['with a file that holds none', ['--id-token-file', 'key.pem'], {}],
  [
    'when GitHub would be asked without TLS',
    [],
    { ACTIONS_ID_TOKEN_REQUEST_URL: 'http://a.example/', ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'x' },
  ],
])('%s nothing is sent', async (_what, args, variables) => {
  const { code, out } = await run(
    args.map((arg) => (arg === 'key.pem' ? at(arg) : arg)),
    variables,
  )
  expect([code === 0, out, asked]).toEqual([false, [], []])
})
