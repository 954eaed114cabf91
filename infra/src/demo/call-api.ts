import { Failure } from '../failure.js'
import type { DemoWorld } from './demo-world.js'

/** One call of the API as JSON. */
export async function callApi<T>(
  world: DemoWorld,
  token: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<T> {
  const response = await fetch(`${world.stack.apiUrl}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  if (!response.ok) throw new Failure(`${method} ${path} was answered ${response.status}: ${text}`)
  return JSON.parse(text) as T
}
