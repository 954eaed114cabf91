import type { Letter } from './seal-mail.js'

type Words = Pick<Letter, 'subject' | 'text'>

/** One line of a name that somebody chose: no line of the mail, and no header, is made of it. */
const plain = (name: string): string => name.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').slice(0, 100)

const letter = (publicUrl: string, subject: string, paragraphs: readonly string[]): Words => ({
  subject,
  text: `${paragraphs.join('\n\n')}\n\n-- \nSent by ${publicUrl}. Nobody reads answers to this address.\n`,
})

export const invitationLetter = (
  publicUrl: string,
  facts: { organization: string; role: string; secret: string; expiresAt: Date },
): Words =>
  letter(publicUrl, `You are invited to the organization "${plain(facts.organization)}"`, [
    `You are invited to join the organization "${plain(facts.organization)}" at ${publicUrl} as ${facts.role}.`,
    `Accept or decline it here, until ${facts.expiresAt.toISOString()}:\n\n${publicUrl}/join#${facts.secret}`,
    `Scripts send what follows the # as "secret" to POST ${publicUrl}/v1/invitations/acceptances, signed in, or to make an account to POST ${publicUrl}/v1/invitations/accounts.`,
    'Whoever has it can join in your place: do not pass it on. If you do not know who invites you, ignore this mail.',
  ])

export const resetLetter = (publicUrl: string, facts: { secret: string; minutes: number }): Words =>
  letter(publicUrl, 'Set a new password', [
    `Somebody, perhaps you, says to have forgotten the password of your account at ${publicUrl}.`,
    `Set a new one here, once, within ${facts.minutes} minutes:\n\n${publicUrl}/login/password/new#${facts.secret}`,
    `All sessions end then; your second factor stays. Scripts send what follows the # as "secret" with the new password to POST ${publicUrl}/v1/password-resets/redemptions.`,
    'If it was not you, ignore this mail: nothing has changed.',
  ])

export const emailChangeLetter = (publicUrl: string, facts: { secret: string; minutes: number }): Words =>
  letter(publicUrl, 'Confirm your new address', [
    `Somebody, perhaps you, wants to use this address for an account at ${publicUrl}.`,
    `Confirm it here within ${facts.minutes} minutes, signed in as you are used to:\n\n${publicUrl}/account/email#${facts.secret}`,
    `Scripts send what follows the # as "secret" to POST ${publicUrl}/v1/users/me/email-changes/redemptions, signed in.`,
    'If it was not you, ignore this mail: without a session of that account the code does nothing.',
  ])

export const emailTakenLetter = (publicUrl: string): Words =>
  letter(publicUrl, 'This address has an account', [
    `Somebody, perhaps you, wanted to use this address for another account at ${publicUrl}. It belongs to one already, so nothing was changed.`,
    'If both accounts are yours, delete the one that you do not need, or give it another address first.',
  ])

/** To the address before: it tells who takes over an account by its own means nothing that they do not know. */
export const emailNoticeLetter = (
  publicUrl: string,
  { email, changed, at }: { email: string; changed: boolean; at: Date },
): Words =>
  letter(publicUrl, changed ? 'Your address was changed' : 'Your address is to be changed', [
    changed
      ? `You sign in at ${publicUrl} with ${email} from now on, and no longer with this address. All other sessions have ended.`
      : `A code that changes the address of your account at ${publicUrl} was mailed to ${email}.`,
    changed
      ? `It happened at ${at.toISOString()}. If it was not you, write to the administrators of your organization at once: this address opens the account no more.`
      : `It was asked for at ${at.toISOString()}. If it was not you, sign in, set a new password, and end all sessions: the code is void then.`,
  ])

const changes: Record<string, string> = {
  'password.changed': 'Your password was changed. All other sessions have ended.',
  'password.reset': 'Your password was set anew with a code that was mailed to you. All sessions have ended.',
  'second-factor.added': 'A second factor was added to your account.',
  'second-factor.removed': 'A second factor was removed from your account.',
  'recovery-codes.renewed': 'New recovery codes were made for your account; the old ones are void.',
}

/** Null: a change that nobody is written to about. */
export function accountLetter(publicUrl: string, facts: { action: string; at: Date }): Words | null {
  const sentence = changes[facts.action]
  if (sentence === undefined) return null
  return letter(publicUrl, 'Your account was changed', [
    sentence,
    `It happened at ${facts.at.toISOString()}. If it was not you, set a new password and look at your sessions and second factors.`,
  ])
}

export const expiryLetter = (
  publicUrl: string,
  facts: { credential: string; app: string; daysBefore: number; expiresAt: Date },
): Words =>
  letter(publicUrl, `A signing credential expires within ${facts.daysBefore} days`, [
    `The credential "${plain(facts.credential)}" of the app "${plain(facts.app)}" expires at ${facts.expiresAt.toISOString()}.`,
    'Upload its successor before that; builds that need it are refused afterwards.',
  ])

/** What happened is read signed in: a mail is not kept from others. */
export const incidentLetter = (publicUrl: string, { organizationId }: { organizationId: string }): Words =>
  letter(publicUrl, 'Notice of an incident', [
    `The operator of ${publicUrl} has a notice of an incident that concerns an organization of yours.`,
    `Read it signed in: GET ${publicUrl}/v1/organizations/${organizationId}/incident-notices.`,
  ])

export const webhookLetter = (publicUrl: string, facts: { webhook: string; host: string; reason: string }): Words =>
  letter(publicUrl, 'A webhook was disabled', [
    `The webhook "${plain(facts.webhook)}" to ${facts.host} was disabled: ${facts.reason}`,
    'Enable it again when its receiver answers; what was not delivered can be sent once more.',
  ])
