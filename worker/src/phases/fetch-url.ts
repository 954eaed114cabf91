import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { connect, rootCertificates } from 'node:tls'
import type { BuildSourceSpec } from '@capstan/migrations/messages'
import { BuildFailure } from '../build-failure.js'
import type { BuildRun } from '../build-run.js'
import { connectOut, Refused } from '../egress/connect-out.js'
import { allowMore, type HostRule } from '../egress/host-policy.js'

type UrlSource = Extract<BuildSourceSpec, { kind: 'url' }>

/** No byte for so long means the connection is dead. */
const stallMs = 60_000

/**
 * Fetches an archive from the address that members of the app named, and hands its bytes on without looking inside them.
 * The connection goes to an address that was judged as for any host a build calls; redirects are not followed.
 */
export async function fetchUrl(
  run: BuildRun,
  source: UrlSource,
  { alsoAllowed, deliver }: { alsoAllowed: readonly HostRule[]; deliver: (bytes: Readable) => Promise<void> },
): Promise<void> {
  const url = new URL(source.url)
  // Its query may be what gives access to it.
  run.logs.note('fetch-source', `Fetching ${url.origin}${url.pathname}`)
  const response = await open(run, url, alsoAllowed)
  const hash = createHash('sha256')
  let sizeBytes = 0
  let failure: BuildFailure | undefined
  async function* measured(): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        sizeBytes += chunk.length
        if (sizeBytes > source.maxBytes) throw failed(`it has more than ${source.maxBytes} bytes`)
        hash.update(chunk)
        run.logs.touch()
        yield chunk
      }
    } catch (error) {
      failure = error instanceof BuildFailure ? error : failed('the connection broke off', error)
    }
  }
  await deliver(Readable.from(measured()))
  response.destroy()
  if (failure) throw failure
  const sha256 = hash.digest('hex')
  if (source.sha256 !== null && source.sha256 !== sha256) {
    throw new BuildFailure('source-mismatch', `The source has the SHA-256 ${sha256}, not the one that was named.`)
  }
  await run.lease.reportSource({ sha256, sizeBytes }, { signal: run.signal })
  run.logs.note('fetch-source', `Received ${sizeBytes} bytes, SHA-256 ${sha256}`)
}

async function open(run: BuildRun, url: URL, alsoAllowed: readonly HostRule[]): Promise<IncomingMessage> {
  try {
    const target = { host: url.hostname, port: Number(url.port || 443) }
    const plain = await connectOut(allowMore(run.hostPolicy, alsoAllowed), run.resolve, target)
    const ca = run.extraCa === undefined ? [] : [run.extraCa]
    const socket = connect({ socket: plain, servername: url.hostname, ca: [...rootCertificates, ...ca] })
    socket.setTimeout(stallMs, () => socket.destroy(new Error('no answer in time')))
    await once(socket, 'secureConnect', { signal: run.signal })
    const call = request({
      createConnection: () => socket,
      path: `${url.pathname}${url.search}`,
      headers: { host: url.host, accept: '*/*', 'user-agent': 'capstan', connection: 'close' },
      signal: run.signal,
    })
    call.end()
    const [response] = (await once(call, 'response')) as [IncomingMessage]
    if (response.statusCode === 200) return response
    socket.destroy()
    throw failed(`its server answered ${response.statusCode}`)
  } catch (error) {
    run.signal.throwIfAborted()
    if (error instanceof BuildFailure) throw error
    throw failed(error instanceof Refused ? error.message : 'its server does not answer', error)
  }
}

const failed = (why: string, cause?: unknown) =>
  new BuildFailure('source-fetch-failed', `The source could not be fetched: ${why}.`, { cause })
