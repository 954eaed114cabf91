import { type FetchedBytes, fetchBytes } from './fetch-bytes.js'
import { deviceHeaders } from './query-latest.js'
import type { Session } from './session.js'
import { maximumRemembered, type State } from './state.js'

/** As many as the server takes at once. */
const reportsAtOnce = 32
const maximumAnswerBytes = 64 * 1024
const timeoutMs = 15_000

type Post = (path: string, body: object, token?: string) => Promise<FetchedBytes>

function change(session: Session, changed: (state: State) => State): Promise<null> {
  return session.update((state) => Promise.resolve({ state: changed(state), result: null }))
}

function posting({ config, world }: Session, deviceId: string): Post {
  return (path, body, token) =>
    fetchBytes(world.fetch, {
      url: `${config.serverUrl}/v1/apps/${encodeURIComponent(config.appId)}/${path}`,
      headers: {
        ...deviceHeaders(deviceId),
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(body),
      maximumBytes: maximumAnswerBytes,
      transfer: { ...config.transfer, timeoutMs },
    })
}

/** The token of this device, asked for once; `''` when the server refuses to give one. */
async function obtainToken(session: Session, state: State, post: Post): Promise<string> {
  if (state.deviceToken !== undefined) return state.deviceToken
  const { status, bytes } = await post('device-tokens', { deviceId: state.deviceId })
  if (status === 429 || status >= 500) return ''
  const answer = status === 201 && bytes ? (JSON.parse(new TextDecoder().decode(bytes)) as { token?: unknown }) : {}
  const token = typeof answer.token === 'string' && /^[\w-]{1,200}$/.test(answer.token) ? answer.token : ''
  await change(session, (now) => ({ ...now, deviceToken: token }))
  return token
}

/**
 * Reports how bundles started here since the last time. What was taken, or never will be, is forgotten; anything else is
 * sent again with the next sync.
 *
 * @throws {LiveUpdateError} `NETWORK`, `TOO_SLOW`
 */
export async function sendReports(session: Session): Promise<void> {
  const state = await session.load()
  const sent = (state.reports ?? []).slice(0, reportsAtOnce)
  if (sent.length === 0) return
  const post = posting(session, state.deviceId)
  const token = await obtainToken(session, state, post)
  if (token === '') return
  const results = sent.map(({ bundleId, deploymentId, outcome }) => ({
    bundleId,
    outcome,
    ...(deploymentId === null ? {} : { deploymentId }),
  }))
  const { status } = await post('telemetry', { results }, token)
  if (status === 401) {
    // The device was deleted at the server, and its token with it: the next report asks for a new one.
    await change(session, ({ deviceToken: _, ...rest }) => rest)
  } else if (status < 500 && status !== 429) {
    const done = sent.map(({ bundleId }) => bundleId)
    await change(session, (now) => ({
      ...now,
      reports: (now.reports ?? []).filter(({ bundleId }) => !done.includes(bundleId)),
      reported: [...(now.reported ?? []), ...done].slice(-maximumRemembered),
    }))
  }
}
