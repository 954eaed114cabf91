import { createTransport } from 'nodemailer'
import { isLoopback, isMailAddress } from './mail-address.js'
import type { Letter } from './seal-mail.js'

/** How mail is handed over. `permanent`: trying again would change nothing. */
export type Mailer = {
  send: (id: string, letter: Letter) => Promise<{ failure: string | null; permanent: boolean }>
  close: () => void
}

export type MailerSettings = { url: URL; from: string; password: string | undefined }

const TIMEOUT_MS = 20_000
/** TLS is demanded and verified everywhere but on loopback: a server that does not offer it is sent nothing. */
export function openMailer({ url, from, password }: MailerSettings): Mailer {
  const isTls = url.protocol === 'smtps:'
  const user = decodeURIComponent(url.username)
  const transport = createTransport({
    host: url.hostname.replaceAll(/[[\]]/g, ''),
    port: url.port === '' ? (isTls ? 465 : 587) : Number(url.port),
    secure: isTls,
    requireTLS: !isTls && !isLoopback(url),
    ignoreTLS: !isTls && isLoopback(url),
    tls: { minVersion: 'TLSv1.2', rejectUnauthorized: true },
    ...(user === '' ? {} : { auth: { user, pass: password ?? '' } }),
    connectionTimeout: TIMEOUT_MS,
    greetingTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  return {
    async send(id, { to, subject, text }) {
      if (!isMailAddress(to)) return { failure: 'The address is not one that mail is sent to.', permanent: true }
      try {
        await transport.sendMail({
          // The same whenever it is sent: servers know a repetition by it.
          messageId: `<${id}@${from.slice(from.lastIndexOf('@') + 1)}>`,
          envelope: { from, to: [to] },
          from: { name: 'Capstan', address: from },
          to: { name: '', address: to },
          subject,
          text,
          headers: { 'auto-submitted': 'auto-generated' },
        })
        return { failure: null, permanent: false }
      } catch (error) {
        return { failure: reasonOf(error), permanent: isPermanent(error) }
      }
    },
    close: () => transport.close(),
  }
}

/** Codes alone: what a server says may repeat the address. */
function reasonOf(error: unknown): string {
  const { code, responseCode } = partsOf(error)
  return `The mail server did not take it (${[code, responseCode].filter(Boolean).join(', ') || 'no reason'}).`
}

/** The server refuses this mail for good; being refused ourselves (authentication) can be mended. */
function isPermanent(error: unknown): boolean {
  const { code, responseCode } = partsOf(error)
  return code === 'EENVELOPE' && responseCode !== undefined && responseCode >= 500
}

function partsOf(error: unknown): { code?: string; responseCode?: number } {
  if (!(error instanceof Error)) return {}
  return {
    ...('code' in error && typeof error.code === 'string' ? { code: error.code } : {}),
    ...('responseCode' in error && typeof error.responseCode === 'number' ? { responseCode: error.responseCode } : {}),
  }
}
