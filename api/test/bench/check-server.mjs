// One server of the check-endpoint measurement: `own`, or a bare `hono` or `node` handler of the same bytes.
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'

const kind = process.argv[2]
const started = performance.now()

async function startOwn() {
  const { openDatabase } = await import('@capstan/migrations')
  const { pino } = await import('pino')
  const { networksOf } = await import('../../dist/auth/client-address.js')
  const { createApp } = await import('../../dist/app.js')
  const { serveApp } = await import('../../dist/serve-app.js')
  const { openUpdates } = await import('../../dist/updates/open-updates.js')
  const { serveCheck } = await import('../../dist/updates/serve-check.js')
  const database = openDatabase({ url: process.env.DATABASE_URL, poolSize: 4 })
  const log = pino({ level: 'fatal' })
  const publicUrl = 'http://capstan.test'
  const updates = await openUpdates({ ...database, log, publicUrl, channelStatementKey: null })
  const deps = { ...updates.parts, proxies: networksOf([]), db: database.db, log, publicUrl, now: () => new Date() }
  return serveApp(createApp(deps), { host: '127.0.0.1', port: 0, first: serveCheck(deps), guard: deps })
}

async function startHono() {
  const { Hono } = await import('hono')
  const { serve } = await import('@hono/node-server')
  const app = new Hono()
  app.get('/v1/apps/:appId/bundles/latest', (c) =>
    c.body(process.env.ANSWER, 200, { 'content-type': 'application/json' }),
  )
  return new Promise((resolve) => {
    const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, () => resolve(server))
  })
}

function startNode() {
  const answer = Buffer.from(process.env.ANSWER)
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length })
    response.end(answer)
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}

const server = await { own: startOwn, hono: startHono, node: startNode }[kind]()
console.log(JSON.stringify({ port: server.address().port, loadMs: performance.now() - started }))
const cpu = () => {
  const { user, system } = process.cpuUsage()
  return user + system
}
for await (const question of createInterface({ input: process.stdin })) {
  console.log(question === 'rss' ? process.memoryUsage.rss() : cpu())
}
process.exit(0)
