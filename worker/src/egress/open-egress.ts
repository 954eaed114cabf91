import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BuildPhase } from '@capstan/migrations/messages'
import { platformFailure } from '../build-failure.js'
import type { BuildRun, Sandbox } from '../build-run.js'
import type { Pipe } from '../container-engine.js'
import { inContainerScript } from '../in-container-script.js'
import { Carrier } from '../in-container/relay.js'
import type { HostPolicy, HostRule } from './host-policy.js'
import { allowMore } from './host-policy.js'
import { createEgressProxy } from './egress-proxy.js'
import { proxyEnvironment, proxyPort } from './proxy-settings.js'

const readyMs = 30_000
/** Of what waits for the relay to read it. Connections that keep to their windows add up to no more than half of this. */
const maxWaitingBytes = 64 << 20
/** What a waiting frame takes in memory besides its bytes. */
const frameCost = 256

export type Egress = {
  /** What makes the usual tools use the way out. */
  environment: Readonly<Record<string, string>>
  /** Ends every connection; nothing that still runs in the container can open another. */
  close(): void
}

/** Does `work` with the way out open; `alsoAllowed` is what this work has to call besides the build's own list. */
export async function withEgress<T>(
  run: BuildRun,
  sandbox: Sandbox,
  { phase, alsoAllowed = [] }: { phase: BuildPhase; alsoAllowed?: readonly HostRule[] },
  work: () => Promise<T>,
): Promise<T> {
  const egress = await openEgress(run, sandbox, phase, allowMore(run.hostPolicy, alsoAllowed))
  run.egress = egress
  try {
    return await work()
  } finally {
    delete run.egress
    egress.close()
    run.logs.note(phase, 'The network is disconnected.')
  }
}

/**
 * Opens the only way out of a build container, which has no network: connections to a port of its loopback travel over a
 * pipe to a proxy in this process. Closing the pipe is closing the network.
 */
async function openEgress(run: BuildRun, sandbox: Sandbox, phase: BuildPhase, policy: HostPolicy): Promise<Egress> {
  const { logs } = run
  const script = await inContainerScript('relay')
  const argv = ['node', '--input-type=module', '-e', script.toString('utf8'), 'capstan-relay', String(proxyPort)]
  const pipe = await run.engine.openPipe(sandbox.containerId, argv)
  const proxy = createEgressProxy({
    policy,
    resolve: run.resolve,
    onContact: (line) => logs.note(phase, line.slice(0, 400)),
    onTraffic: () => logs.touch(),
  })
  const carried = carry(pipe, proxy.serve)
  let isOpen = true
  const close = () => {
    if (!isOpen) return
    isOpen = false
    run.signal.removeEventListener('abort', close)
    carried.close()
    proxy.close()
    for (const line of proxy.contacts.summary()) logs.note(phase, line)
  }
  run.signal.addEventListener('abort', close, { once: true })
  carried.failed.catch((error: unknown) => {
    if (isOpen)
      logs.note(phase, `Network: the way out is closed: ${error instanceof Error ? error.message : 'unknown'}`)
    close()
  })
  try {
    await Promise.race([carried.ready, carried.failed, sleep(readyMs, undefined, { ref: false }).then(tooLate)])
  } catch (error) {
    close()
    throw platformFailure('egress-failed', 'The way out of the build container could not be opened.', error)
  }
  return { environment: proxyEnvironment, close }
}

/**
 * Everything that the container sends through the pipe is checked by the carrier; a violation ends it. So does a relay that
 * asks and does not read the answers.
 */
export function carry(pipe: Pipe, onConnection: (connection: Duplex) => void) {
  let onReady = (): void => undefined
  const ready = new Promise<void>((resolve) => {
    onReady = resolve
  })
  let waiting = 0
  const send = (frame: Buffer, sent: () => void = () => undefined) => {
    if (!pipe.input.destroyed && waiting > maxWaitingBytes) pipe.input.destroy(new Error('the relay does not read'))
    if (pipe.input.destroyed) return sent()
    const cost = frame.length + frameCost
    waiting += cost
    pipe.input.write(frame, () => {
      waiting -= cost
      sent()
    })
  }
  const carrier = new Carrier({ send, onConnection, onReady: () => onReady() })
  const read = async (): Promise<never> => {
    for await (const chunk of pipe.output) carrier.receive(chunk)
    throw new Error('its relay ended')
  }
  const close = () => {
    carrier.close()
    pipe.close()
  }
  return { ready, failed: read(), close }
}

const tooLate = () => Promise.reject(new Error('the relay did not start in time'))
