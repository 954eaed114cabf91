import type { Logger } from 'pino'
import type { Outbound } from '../outbound/create-outbound.js'
import { OutboundError } from '../outbound/outbound-error.js'

export type Message = { url: string; headers: Readonly<Record<string, string>>; body: string }

/** `failure`: why it was not taken, in a sentence for whoever set the webhook up; null when it was. */
export type Outcome = { status: number | null; failure: string | null }

const MAX_FAILURE = 500

/** Sends one message through the gate for foreign hosts. `compose` may fail; then nothing was sent. */
export async function postToReceiver(
  { outbound, log }: { outbound: Outbound; log: Logger },
  webhookId: string,
  compose: () => Message,
): Promise<Outcome> {
  try {
    const { url, headers, body } = compose()
    const { status } = await outbound(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    })
    return { status, failure: status < 300 ? null : `It answered with status ${status}.` }
  } catch (error) {
    if (error instanceof OutboundError) {
      return { status: null, failure: `${error.code}: ${error.message}`.slice(0, MAX_FAILURE) }
    }
    log.error({ err: error, webhook: webhookId }, 'a webhook could not be sent')
    return { status: null, failure: 'It could not be sent: the operator’s log says why.' }
  }
}
