// Asks as fast as it is answered, over 64 connections, each device once; reports what it saw as JSON.
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'

const CONNECTIONS = 64
const { hostname, port, host } = new URL(process.argv[2])
const until = performance.now() + Number(process.argv[3]) * 1000
const { prefix, apps } = JSON.parse(await text(process.stdin))
const waits = []
let asked = 0
let failed = 0
const end = Buffer.from('\r\n\r\n')

function nextRequest() {
  asked += 1
  const app = apps[asked % apps.length]
  const device = `device-${process.pid}-${asked}`
  return `GET /v1/apps/${app}/bundles/latest?appVersionCode=10&deviceId=${device}${prefix} HTTP/1.1\r\nhost: ${host}\r\nuser-agent: okhttp/5.1.0\r\naccept-encoding: br, gzip\r\nx-capawesome-device-id: ${device}\r\n\r\n`
}

function run() {
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname)
    let sentAt = 0
    let got = Buffer.alloc(0)
    const ask = () => {
      sentAt = performance.now()
      if (sentAt > until) socket.destroy()
      else socket.write(nextRequest())
    }
    socket.setNoDelay(true)
    socket.on('connect', ask)
    socket.on('data', (piece) => {
      got = got.length === 0 ? piece : Buffer.concat([got, piece])
      const head = got.indexOf(end)
      if (head < 0) return
      const headers = got.latin1Slice(0, head)
      const length = Number(/content-length: (\d+)/i.exec(headers)?.[1])
      if (got.length < head + 4 + length) return
      if (!headers.startsWith('HTTP/1.1 200')) failed += 1
      waits.push(performance.now() - sentAt)
      got = Buffer.alloc(0)
      ask()
    })
    socket.on('error', () => (failed += 1))
    socket.on('close', resolve)
  })
}

const started = performance.now()
await Promise.all(Array.from({ length: CONNECTIONS }, run))
const seconds = (performance.now() - started) / 1000
waits.sort((one, other) => one - other)
const at = (share) => waits[Math.min(waits.length - 1, Math.floor(waits.length * share))]
console.log(
  JSON.stringify({ requests: waits.length, rps: waits.length / seconds, p50Ms: at(0.5), p99Ms: at(0.99), failed }),
)
