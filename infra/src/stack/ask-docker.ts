import { request, type RequestOptions } from 'node:http'
import { Failure } from '../failure.js'

export const defaultDockerHost = 'unix:///var/run/docker.sock'

function address(dockerHost: string): RequestOptions {
  if (dockerHost.startsWith('unix://')) return { socketPath: dockerHost.slice('unix://'.length) }
  try {
    const { hostname, port } = new URL(dockerHost.replace(/^tcp:/, 'http:'))
    return { hostname, port: port || 2375 }
  } catch {
    throw new Failure(`DOCKER_HOST "${dockerHost}" is not an address. Use unix:///path/to.sock or tcp://host:port.`, 2)
  }
}

interface DockerAnswer {
  readonly status: number
  readonly body: string
}

/** One call of the Docker Engine API. Rejects with the system's error when the daemon does not answer. */
export async function askDocker(
  dockerHost: string,
  method: string,
  path: string,
  { timeoutMs = 30_000, json }: { timeoutMs?: number; json?: object } = {},
): Promise<DockerAnswer> {
  const headers = { host: 'docker', ...(json && { 'content-type': 'application/json' }) }
  return new Promise((resolve, reject) => {
    const call = request({ ...address(dockerHost), method, path, timeout: timeoutMs, headers }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text: string) => {
        body += text
      })
      response.once('error', reject)
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
    call.once('timeout', () => call.destroy(new Error(`the Docker daemon did not answer within ${timeoutMs / 1000} s`)))
    call.once('error', reject)
    call.end(json && JSON.stringify(json))
  })
}

/** Undefined when the daemon answers, else why not. */
export async function dockerProblem(dockerHost: string): Promise<NodeJS.ErrnoException | undefined> {
  try {
    const { status } = await askDocker(dockerHost, 'GET', '/_ping', { timeoutMs: 5000 })
    return status === 200 ? undefined : new Error(`the Docker daemon answered ${status}`)
  } catch (error) {
    return error as NodeJS.ErrnoException
  }
}

/** Removes the containers, networks and volumes that carry the label; says how many there were. */
export async function removeLabelled(dockerHost: string, label: string): Promise<number> {
  const filters = encodeURIComponent(JSON.stringify({ label: [label] }))
  const list = async (path: string): Promise<unknown> => JSON.parse((await askDocker(dockerHost, 'GET', path)).body)
  const containers = (await list(`/containers/json?all=1&filters=${filters}`)) as { Id: string }[]
  for (const { Id } of containers) await askDocker(dockerHost, 'DELETE', `/containers/${Id}?force=1&v=1`)
  const networks = (await list(`/networks?filters=${filters}`)) as { Id: string }[]
  for (const { Id } of networks) await askDocker(dockerHost, 'DELETE', `/networks/${Id}`)
  const { Volumes: volumes } = (await list(`/volumes?filters=${filters}`)) as { Volumes: { Name: string }[] | null }
  for (const { Name } of volumes ?? []) await askDocker(dockerHost, 'DELETE', `/volumes/${Name}?force=1`)
  return containers.length + networks.length + (volumes?.length ?? 0)
}
