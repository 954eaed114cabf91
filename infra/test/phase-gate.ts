import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Where one phase ends and the next one begins: the worker's report that it starts `phase`, or that the build is over. */
export type Boundary =
  | 'prepare'
  | 'fetch-source'
  | 'restore-cache'
  | 'install'
  | 'save-cache'
  | 'build-web'
  | 'sync-native'
  | 'compile'
  | 'sign'
  | 'verify'
  | 'upload'
  | 'finish'

/** `before`: the API has not heard the report. `after`: it has, and the worker has not heard that. */
export type Edge = 'before' | 'after'

export interface Hold {
  readonly boundary: Boundary
  readonly edge: Edge
  /** Settles when the worker has come to the boundary and waits there. */
  readonly reached: Promise<void>
  /** Lets the worker go on; with `drop` as after a connection that broke. */
  readonly release: (how: 'deliver' | 'drop') => void
}

interface Answer {
  readonly status: number
  readonly text: string
}

interface AttemptSeen {
  readonly appId: string
  readonly attempt: number
  readonly worker: string
}

export interface WriteSeen extends AttemptSeen {
  readonly path: string
  readonly status: number
}

interface Armed extends Hold {
  readonly arrive: () => void
  readonly released: Promise<'deliver' | 'drop'>
}

/**
 * Stands between workers and the API, passes everything on, and stops a build exactly at a boundary of its phases. What
 * it knows of a build it reads in the answers to claims.
 */
export class PhaseGate implements AsyncDisposable {
  /** Where the API is; set before the first call. */
  target = ''
  /** Every call under a lease and how it was answered. */
  readonly writes: WriteSeen[] = []
  private readonly attempts = new Map<string, AttemptSeen>()
  private readonly armed = new Map<string, Armed>()
  private readonly server = createServer((request, response) => {
    this.pass(request, response).catch(() => response.destroy())
  })

  async listen(): Promise<string> {
    this.server.listen(0, '127.0.0.1')
    await once(this.server, 'listening')
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const hold of this.armed.values()) hold.release('drop')
    this.server.close()
    this.server.closeAllConnections()
    await once(this.server, 'close')
  }

  /** Stops the first attempt of the app's next build there. */
  hold(appId: string, boundary: Boundary, edge: Edge): Hold {
    let arrive = (): void => undefined
    let release = (_how: 'deliver' | 'drop'): void => undefined
    const reached = new Promise<void>((resolve) => (arrive = resolve))
    const released = new Promise<'deliver' | 'drop'>((resolve) => (release = resolve))
    const key = `${appId} ${boundary}`
    const letGo = (how: 'deliver' | 'drop'): void => {
      // What the worker says again after a lost answer goes through.
      this.armed.delete(key)
      release(how)
    }
    const hold = { boundary, edge, reached, release: letGo, arrive, released }
    this.armed.set(key, hold)
    return hold
  }

  private async pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks).toString('utf8')
    const path = request.url ?? ''
    const caller = this.attempts.get(request.headers.authorization ?? '')
    const hold = caller?.attempt === 1 ? this.armed.get(`${caller.appId} ${boundaryOf(path, body)}`) : undefined
    if (hold?.edge === 'before') {
      hold.arrive()
      // A worker that died before its report left the machine has not reported.
      if ((await hold.released) === 'drop' || response.destroyed) return void response.destroy()
    }
    const answer = await this.forward(request, body)
    if (path.endsWith('/claim')) this.noteClaim(body, answer)
    if (caller !== undefined) this.writes.push({ ...caller, path, status: answer.status })
    if (hold?.edge === 'after') {
      hold.arrive()
      if ((await hold.released) === 'drop') return void response.destroy()
    }
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.text)
  }

  private async forward(request: IncomingMessage, body: string): Promise<Answer> {
    const { authorization = '' } = request.headers
    const headers = { authorization, 'content-type': 'application/json' }
    const answer = await fetch(`${this.target}${request.url}`, { method: 'POST', headers, body })
    return { status: answer.status, text: await answer.text() }
  }

  private noteClaim(request: string, { status, text }: Answer): void {
    if (status !== 200) return
    const { worker } = JSON.parse(request) as { worker: string }
    const { lease, attempt, spec } = JSON.parse(text) as {
      lease: { token: string }
      attempt: number
      spec: { appId: string }
    }
    this.attempts.set(`Bearer ${lease.token}`, { appId: spec.appId, attempt, worker })
  }

  /** The worker that has, or had, this attempt of the app's build. */
  workerOf(appId: string, attempt: number): string | undefined {
    return [...this.attempts.values()].find((seen) => seen.appId === appId && seen.attempt === attempt)?.worker
  }
}

interface Report {
  readonly phase: string
  readonly state: string
}

function boundaryOf(path: string, body: string): string | undefined {
  if (path.endsWith('/lease/finish')) return 'finish'
  if (!path.endsWith('/lease/phases')) return undefined
  const reports = [JSON.parse(body) as Report | Report[]].flat()
  return reports.find(({ state }) => state === 'started')?.phase
}
