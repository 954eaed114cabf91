import type { Session } from './session.js'
import type { ServedBundle, State } from './state.js'

// Nothing but types is imported: code shared with the core would be split out of it and make every start larger.

/** As many as the server takes at once. */
const reportsAtOnce = 32
const maximumReported = 100
const maximumAnswerBytes = 64 * 1024
const timeoutMaximumMs = 15_000

interface Answer {
  status: number
  text: string
}
type Post = (path: string, body: object, token?: string) => Promise<Answer>

function change(session: Session, changed: (state: State) => State): Promise<null> {
  return session.update((state) => Promise.resolve({ state: changed(state), result: null }))
}

async function readText(response: Response): Promise<string> {
  if (!response.body) return ''
  const reader = response.body.getReader()
  const decoder = new TextDecoder()
  let [text, length] = ['', 0]
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text
    length += value.length
    if (length > maximumAnswerBytes) throw new Error('the answer is too long')
    text += decoder.decode(value, { stream: true })
  }
}

function posting({ config, world }: Session, deviceId: string): Post {
  return async (path, body, token) => {
    const stop = new AbortController()
    const post = async (): Promise<Answer> => {
      const response = await world.fetch(`${config.serverUrl}/v1/apps/${encodeURIComponent(config.appId)}/${path}`, {
        method: 'POST',
        headers: {
          'x-capawesome-device-id': deviceId,
          'content-type': 'application/json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        body: JSON.stringify(body),
        // A token goes nowhere but to the server that the app names.
        redirect: 'error',
        signal: stop.signal,
      })
      return { status: response.status, text: await readText(response) }
    }
    const timeoutMs = Math.min(config.transfer.timeoutMs, timeoutMaximumMs)
    let deadline: ReturnType<typeof setTimeout> | undefined
    // Not left to `fetch`, which may not know signals: the next sync waits for this one.
    const tooSlow = new Promise<never>((_resolve, reject) => {
      deadline = setTimeout(() => reject(new Error('the server did not answer in time')), timeoutMs)
    })
    try {
      return await Promise.race([post(), tooSlow])
    } finally {
      clearTimeout(deadline)
      stop.abort()
    }
  }
}

/** The token of this device, asked for once; `''` when the server refuses to give one. */
async function obtainToken(session: Session, state: State, post: Post): Promise<string> {
  if (state.deviceToken !== undefined) return state.deviceToken
  const { status, text } = await post('device-tokens', { deviceId: state.deviceId })
  if (status === 429 || status >= 500) return ''
  const answer = status === 201 ? (JSON.parse(text) as { token?: unknown }) : {}
  const token = typeof answer.token === 'string' && /^[\w-]{1,200}$/.test(answer.token) ? answer.token : ''
  await change(session, (now) => ({ ...now, deviceToken: token }))
  return token
}

interface Report extends ServedBundle {
  outcome: 'confirmed' | 'failed'
}

/** What happened here and was not reported: what failed, and what was confirmed last. */
function unreported({ blocked, lastGood, reported = [] }: State): Report[] {
  const failed = blocked.flatMap(({ served }) => (served ? [{ ...served, outcome: 'failed' as const }] : []))
  const confirmed = lastGood?.served ? [{ ...lastGood.served, outcome: 'confirmed' as const }] : []
  return [...failed, ...confirmed].filter(({ bundleId }) => !reported.includes(bundleId)).slice(0, reportsAtOnce)
}

/**
 * Reports how bundles started here since the last time. What was taken, or never will be, is not sent again; anything
 * else is, with the next sync.
 *
 * @throws whatever `fetch` throws, and when the answer cannot be read
 */
export async function sendReports(session: Session): Promise<void> {
  const state = await session.load()
  const reports = unreported(state)
  if (reports.length === 0) return
  const post = posting(session, state.deviceId)
  const token = await obtainToken(session, state, post)
  if (token === '') return
  const results = reports.map(({ deploymentId, ...report }) => ({
    ...report,
    ...(deploymentId === null ? {} : { deploymentId }),
  }))
  const { status } = await post('telemetry', { results }, token)
  if (status === 401) {
    // The device was deleted at the server, and its token with it: the next report asks for a new one.
    await change(session, (now) => {
      const next = { ...now }
      delete next.deviceToken
      return next
    })
  } else if (status < 500 && status !== 429) {
    await change(session, (now) => ({
      ...now,
      reported: [...(now.reported ?? []), ...reports.map(({ bundleId }) => bundleId)].slice(-maximumReported),
    }))
  }
}
