// Runs inside the build container as ssh's ProxyCommand (`node connect-through.mjs <host> <port>`): carries standard input
// and output through the build's only way out, by CONNECT. One file, Node built-ins only.
import { connect } from 'node:net'

const answerCap = 16_384

export function connectThrough(proxy: URL, host: string, port: string): void {
  const socket = connect(Number(proxy.port), proxy.hostname)
  const fail = (why: string): never => {
    process.stderr.write(`The way out does not lead to ${host}:${port}: ${why}\n`)
    process.exit(1)
  }
  let answer = Buffer.alloc(0)
  const onAnswer = (chunk: Buffer) => {
    answer = Buffer.concat([answer, chunk])
    const end = answer.indexOf('\r\n\r\n')
    if (end < 0) {
      if (answer.length > answerCap) fail('the proxy says too much')
      return
    }
    const status = answer.toString('latin1', 0, answer.indexOf('\r\n'))
    if (!/^HTTP\/1\.[01] 200 /.test(status)) fail(status.slice(0, 200))
    socket.off('data', onAnswer)
    process.stdout.write(answer.subarray(end + 4))
    process.stdin.pipe(socket)
    socket.pipe(process.stdout)
  }
  socket.on('data', onAnswer)
  socket.on('error', (error) => fail(error.message))
  socket.on('close', () => process.exit(0))
  socket.write(`CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`)
}

const [, script = '', host, port] = process.argv
if (script.endsWith('/connect-through.mjs') && host !== undefined && port !== undefined) {
  connectThrough(new URL(process.env['HTTPS_PROXY'] ?? ''), host, port)
}
