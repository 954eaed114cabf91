import type { appWebhookDeliveries, appWebhooks, WebhookEvent, WebhookFacts } from '@capstan/migrations'

type Delivery = Pick<typeof appWebhookDeliveries.$inferSelect, 'event' | 'facts' | 'createdAt'>
type Format = (typeof appWebhooks.$inferSelect)['format']

/** The body of a delivery: the same bytes whenever it is written. */
export const writeMessage = (format: Format, delivery: Delivery): string => JSON.stringify(messages[format](delivery))

const messages: Record<Format, (delivery: Delivery) => object> = {
  raw: ({ event, facts, createdAt }) => ({ event, timestamp: createdAt.toISOString(), data: facts }),
  slack: (delivery) => ({ text: sentenceOf(delivery, escapeForSlack) }),
  // Names are chosen by people: none of them may call everybody.
  discord: (delivery) => ({ content: sentenceOf(delivery, escapeMarkdown), allowed_mentions: { parse: [] } }),
  teams: (delivery) => cardOf(sentenceOf(delivery, escapeMarkdown)),
}

const ends: Record<string, string> = {
  succeeded: 'succeeded',
  failed: 'failed',
  canceled: 'was canceled',
  rejected: 'was rejected',
  timed_out: 'timed out',
}

type Named = (fact: string) => string
const buildOf = (named: Named) =>
  `Build ${named('appBuildNumberAsString')} (${named('platform')}) of ${named('appName')}`

const sentences: Record<WebhookEvent, (named: Named, facts: WebhookFacts) => string> = {
  app_build_created: (named) =>
    `Build ${named('numberAsString')} (${named('platform')}) of ${named('appName')} was created.`,
  job_created: (named) => `${buildOf(named)} waits for a worker.`,
  job_finished: (named, { status }) => `${buildOf(named)} ${ends[String(status)] ?? 'ended'}.`,
  app_deployment_created: (named) =>
    `Build ${named('appBuildNumberAsString')} of ${named('appName')} was deployed to the channel ${named('appChannelName')}.`,
}

function sentenceOf({ event, facts }: Delivery, escape: (text: string) => string): string {
  return sentences[event]((fact) => escape(plain(String(facts[fact] ?? '?'))), facts)
}

/** One line, whatever a name holds. */
const plain = (text: string): string => text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').slice(0, 200)

const slackEntities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }
const escapeForSlack = (text: string): string => text.replaceAll(/[&<>]/g, (sign) => slackEntities[sign] ?? sign)

const escapeMarkdown = (text: string): string => text.replaceAll(/[\\*_~`|<>[\]()#@:]/g, (sign) => `\\${sign}`)

/** An adaptive card, as workflows of Teams take it. */
function cardOf(text: string) {
  const content = {
    $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
    type: 'AdaptiveCard',
    version: '1.4',
    body: [{ type: 'TextBlock', text, wrap: true }],
  }
  return { type: 'message', attachments: [{ contentType: 'application/vnd.microsoft.card.adaptive', content }] }
}
