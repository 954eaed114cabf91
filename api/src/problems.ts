import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { z } from '@hono/zod-openapi'

type Row = { status: ContentfulStatusCode; title: string }

/** Every refusal there is. A code is part of the API: it is never renamed. */
export const problems = {
  'request-invalid': { status: 422, title: 'The request is not valid' },
  'request-malformed': { status: 400, title: 'The request could not be read' },
  'request-too-large': { status: 413, title: 'The request is too large' },
  'token-missing': { status: 401, title: 'A token is needed' },
  'token-invalid': { status: 401, title: 'The token is not valid' },
  'sign-in-refused': { status: 400, title: 'E-mail address or password is wrong' },
  'sign-in-pending': { status: 400, title: 'The sign-in has not been confirmed' },
  'tls-needed': { status: 403, title: 'This server is reached by https only' },
  'form-foreign': { status: 403, title: 'The form was not sent by our own page' },
  'sign-in-denied': { status: 403, title: 'The sign-in was refused' },
  'sign-in-expired': { status: 410, title: 'The code of the sign-in has expired' },
  'device-code-unknown': { status: 404, title: 'No command line waits with this code' },
  'sign-in-stale': { status: 403, title: 'The sign-in is too long ago' },
  'session-needed': { status: 403, title: 'A token cannot do this' },
  'second-factor-needed': { status: 403, title: 'A second factor is needed to sign in' },
  'second-factor-missing': { status: 403, title: 'A second factor is needed' },
  'second-factor-stale': { status: 403, title: 'The second factor is too long ago' },
  'second-factor-refused': { status: 400, title: 'The code is wrong or was used' },
  'second-factor-exists': { status: 409, title: 'There is such a second factor already' },
  'second-factor-not-started': { status: 409, title: 'Setting up the second factor has not begun' },
  'passkey-refused': { status: 400, title: 'The passkey was not accepted' },
  'address-not-allowed': { status: 403, title: 'The network address is not allowed' },
  'network-invalid': { status: 422, title: 'This is not a network' },
  'policy-locks-out': { status: 422, title: 'The policy would lock its author out' },
  'country-list-unavailable': { status: 422, title: 'Countries cannot be checked' },
  'token-rotated': { status: 409, title: 'The token was rotated already' },
  'scope-unknown': { status: 422, title: 'There is no such scope' },
  'scope-not-yours': { status: 403, title: 'A token cannot have more than its creator' },
  'permission-missing': { status: 403, title: 'The role does not allow this' },
  'role-not-yours': { status: 403, title: 'The role includes more than yours' },
  'sole-owner': { status: 409, title: 'The account owns an organization alone' },
  'last-owner': { status: 409, title: 'An organization keeps an owner' },
  'member-exists': { status: 409, title: 'This person is a member already' },
  'team-name-taken': { status: 409, title: 'A team of this name exists' },
  'grant-invalid': { status: 422, title: 'The grant is not possible' },
  'invitation-exists': { status: 409, title: 'This person is invited already' },
  'invitation-invalid': { status: 404, title: 'The invitation is not valid any more' },
  'account-exists': { status: 409, title: 'There is an account with this e-mail address' },
  'password-wrong': { status: 400, title: 'The present password is wrong' },
  'review-open': { status: 409, title: 'There is an open review' },
  'review-closed': { status: 409, title: 'The review is over' },
  'review-own': { status: 403, title: 'Nobody reviews their own access' },
  'not-found': { status: 404, title: 'Not found' },
  'organization-needed': { status: 422, title: 'An organization is needed' },
  'user-unknown': { status: 404, title: 'User not found' },
  'too-many-requests': { status: 429, title: 'Too many requests at once' },
  'request-conflict': { status: 409, title: 'Something else changed at the same time' },
  'internal-error': { status: 500, title: 'Something went wrong on our side' },
  'dependency-unavailable': { status: 503, title: 'A part of the platform does not answer' },

  'support-grant-needed': { status: 403, title: 'The organization has not allowed this' },
  'support-grant-decided': { status: 409, title: 'The request was decided already' },
  'incident-transition-refused': { status: 409, title: 'The incident cannot change to this state' },
  'incident-notice-missing': { status: 409, title: 'A notice is missing' },
  'issuer-unavailable': { status: 503, title: 'The issuer does not answer as it should' },
  'trust-policy-invalid': { status: 422, title: 'The trust policy is not usable' },
  'token-exchange-refused': { status: 400, title: 'The token was not exchanged' },
  'audit-unavailable': { status: 503, title: 'The audit log takes no events' },
  'identity-provider-invalid': { status: 422, title: 'The identity provider is not usable' },
  'identity-taken': { status: 409, title: 'The identity belongs to another account' },
  'mail-unavailable': { status: 503, title: 'This server sends no mail' },
  'email-change-invalid': { status: 422, title: 'The code for a new address is not valid' },
  'reset-invalid': { status: 422, title: 'The code for a new password is not valid' },
  'webhooks-unavailable': { status: 503, title: 'This server sends no webhooks' },
  'webhook-limit': { status: 422, title: 'There are too many webhooks' },
  'webhook-disabled': { status: 409, title: 'The webhook is disabled' },
  'signing-secret-invalid': { status: 422, title: 'The signing secret is not valid' },
  'delivery-pending': { status: 409, title: 'The delivery is still being tried' },
  'outbound-address-refused': { status: 422, title: 'The address is not called' },

  'checkpoint-not-found': { status: 404, title: 'There is no such checkpoint' },
  'confirmation-differs': { status: 422, title: 'The confirmation does not match' },

  'approval-needed': { status: 409, title: 'Somebody else has to approve this' },
  'approval-stale': { status: 409, title: 'Something else was approved' },
  'approval-lapsed': { status: 409, title: 'The approval does not count any more' },
  'approval-spent': { status: 409, title: 'The approval was used' },
  'approval-too-early': { status: 425, title: 'It is too early to approve your own change' },
  'approval-benefits-you': { status: 403, title: 'Nobody approves a role for themselves' },
  'self-approval': { status: 403, title: 'Nobody approves their own change' },
  'self-attestation': { status: 403, title: 'Nobody attests their own change' },
  'self-reconciliation': { status: 403, title: 'Nobody reconciles their own change' },
  'exception-not-alone': { status: 409, title: 'More than one person may approve' },
  'change-request-refused': { status: 409, title: 'The change request is not in this state' },
  'rollouts-frozen': { status: 423, title: 'Rollouts of this app are frozen' },

  'app-busy': { status: 409, title: 'The app has unfinished builds' },

  'cache-not-writable': { status: 403, title: 'The build may not write to the cache' },
  'cache-mismatch': { status: 422, title: 'The cache is not what was declared' },

  'object-url-invalid': { status: 403, title: 'The link is not valid or has expired' },
  'object-not-found': { status: 404, title: 'The stored object does not exist' },
  'object-exists': { status: 409, title: 'The object is stored already' },
  'object-rejected': { status: 422, title: 'The uploaded bytes were refused' },
  'range-invalid': { status: 416, title: 'The requested range does not exist' },

  'credential-name-taken': { status: 409, title: 'A credential of this name exists' },
  'credential-not-found': { status: 404, title: 'Credential not found' },
  'credential-ambiguous': { status: 409, title: 'Several credentials have this name' },
  'credential-in-use': { status: 409, title: 'The credential is used by an unfinished build' },
  'credential-version-not-found': { status: 404, title: 'Credential version not found' },
  'credential-version-conflict': { status: 409, title: 'The versions of the credential have changed' },
  'credential-version-refused': { status: 409, title: 'The credential version cannot change to this state' },
  'credential-version-not-active': { status: 422, title: 'The credential has no active version' },
  'credential-rollback-impossible': { status: 409, title: 'There is no version to go back to' },
  'credential-purpose-differs': { status: 422, title: 'The file is for another purpose' },
  'credential-canary-failed': { status: 422, title: 'The credential did not sign' },
  'certificate-expired': { status: 422, title: 'The certificate has expired' },
  'profile-missing': { status: 422, title: 'A provisioning profile is missing' },
  'credential-file-too-large': { status: 422, title: 'The file is too large' },
  'web-certificates-not-allowed': { status: 422, title: 'The organization does not store web signing keys' },
  'keystore-unrecognized': { status: 422, title: 'The file is not a keystore' },
  'keystore-unsupported-format': { status: 422, title: 'This keystore format is not supported' },
  'keystore-algorithm-unsupported': { status: 422, title: 'The encryption of the file is not supported' },
  'keystore-mac-missing': { status: 422, title: 'The file has no integrity check' },
  'keystore-password-encoding': { status: 422, title: 'The contents need another password than the file' },
  'keystore-several-keys': { status: 422, title: 'The file has several private keys' },
  'keystore-too-large': { status: 422, title: 'The keystore is too large' },
  'keystore-password-wrong': { status: 422, title: 'The keystore password is wrong' },
  'keystore-password-missing': { status: 422, title: 'The keystore password is missing' },
  'keystore-alias-not-found': { status: 422, title: 'The keystore has no such alias' },
  'keystore-no-private-key': { status: 422, title: 'The keystore has no private key' },
  'keystore-key-mismatch': { status: 422, title: 'Key and certificate do not belong together' },
  'keystore-certificate-expired': { status: 422, title: 'The certificate has expired' },
  'keystore-too-costly': { status: 422, title: 'The keystore asks for too much work' },
  'keystore-damaged': { status: 422, title: 'The keystore is damaged' },
  'key-password-wrong': { status: 422, title: 'The key password is wrong' },
  'certificate-not-yet-valid': { status: 422, title: 'The certificate is not valid yet' },
  'certificate-key-weak': { status: 422, title: 'The key of the certificate is not suitable' },
  'certificate-team-missing': { status: 422, title: 'The certificate names no Apple team' },
  'certificate-not-for-code-signing': { status: 422, title: 'The certificate is not for code signing' },
  'profile-unrecognized': { status: 422, title: 'The file is not a provisioning profile' },
  'profile-damaged': { status: 422, title: 'The provisioning profile is incomplete' },
  'profile-signature-invalid': { status: 422, title: 'The signature of the profile is not valid' },
  'profile-untrusted': { status: 422, title: 'The profile is not signed by Apple' },
  'profile-expired': { status: 422, title: 'The provisioning profile has expired' },
  'profile-not-found': { status: 404, title: 'Provisioning profile not found' },
  'profile-certificate-mismatch': { status: 422, title: 'The profile does not name the certificate' },
  'profile-team-mismatch': { status: 422, title: 'The profiles are of different teams' },
  'profile-app-mismatch': { status: 422, title: 'The profile is for another app' },
  'certificate-type-mismatch': { status: 422, title: 'The certificate is for another type of build' },
  'profile-type-mismatch': { status: 422, title: 'The profiles are of different types' },
  'private-key-unrecognized': { status: 422, title: 'The file is not a private key' },
  'private-key-encrypted': { status: 422, title: 'The private key is encrypted' },
  'private-key-unsuitable': { status: 422, title: 'The private key is of another kind' },
  'key-id-missing': { status: 422, title: 'The key id is missing' },
  'service-account-unrecognized': { status: 422, title: 'The file is not a service account key' },
  'service-account-google-services': { status: 422, title: 'The file is google-services.json' },
  'service-account-key-invalid': { status: 422, title: 'The key of the service account is not usable' },
  'service-account-email-invalid': { status: 422, title: 'The address of the service account is not valid' },
  'service-account-token-uri-refused': { status: 422, title: 'The token address is not one of Google' },

  'upload-not-found': { status: 404, title: 'Upload not found' },
  'upload-part-invalid': { status: 422, title: 'The upload part is not valid' },
  'upload-not-stored': { status: 409, title: 'The upload could not be stored' },
  'upload-incomplete': { status: 422, title: 'The upload is not complete' },

  'build-source-missing': { status: 422, title: 'The build has no source' },
  'build-source-not-ready': { status: 409, title: 'The build source is not uploaded' },
  'build-source-invalid': { status: 422, title: 'The build source is not valid' },
  'build-type-invalid': { status: 422, title: 'The build type does not fit the platform' },
  'build-platform-unavailable': { status: 422, title: 'No worker builds for this platform' },
  'certificate-unknown': { status: 400, title: 'Certificate not found' },
  'certificate-missing': { status: 422, title: 'A release build needs a certificate' },
  'environment-name-taken': { status: 409, title: 'An environment of this name exists' },
  'environment-limit': { status: 422, title: 'The environment would hold too much' },
  'environment-in-use': { status: 409, title: 'The environment is used by an unfinished build' },
  'configuration-name-taken': { status: 409, title: 'A native configuration of this name exists' },
  'configuration-limit': { status: 422, title: 'The app has too many native configurations' },
  'git-connection-name-taken': { status: 409, title: 'A git connection of this name exists' },
  'git-connection-invalid': { status: 422, title: 'The git connection is not usable' },
  'git-connection-in-use': { status: 409, title: 'The git connection is used by an unfinished build' },
  'git-provider-unknown': { status: 400, title: 'Git provider not connected' },
  'repository-missing': { status: 422, title: 'The app has no repository' },
  'source-address-refused': { status: 422, title: 'The address of the source is not allowed' },
  'git-ref-invalid': { status: 422, title: 'The git reference is not valid' },
  'environment-unknown': { status: 400, title: 'Environment not found' },
  'configuration-unknown': { status: 400, title: 'Native configuration not found' },
  'build-not-claimable': { status: 409, title: 'The build cannot be claimed' },
  'job-transition-refused': { status: 409, title: 'The job cannot change to this status' },
  'lease-lost': { status: 409, title: 'The lease of this build attempt has ended' },
  'artifact-not-ready': { status: 409, title: 'The artifact is not ready' },
  'share-not-found': { status: 404, title: 'The link does not work any more' },
  'share-expiry-invalid': { status: 422, title: 'The expiry of the share is not valid' },
  'provenance-unavailable': { status: 503, title: 'The provenance cannot be signed just now' },
  'artifact-mismatch': { status: 422, title: 'The artifact is not what was declared' },

  'channel-name-taken': { status: 409, title: 'A channel of this name exists' },
  'channel-unknown': { status: 404, title: 'Channel not found' },
  'channel-discovery-disabled': { status: 401, title: 'Channel discovery is not enabled' },
  'channel-protected': { status: 422, title: 'The channel takes signed bundles only' },
  'bundle-file-invalid': { status: 422, title: 'The bundle file is not valid' },
  'bundle-archive-invalid': { status: 422, title: 'The bundle archive is not valid' },
  'bundle-incomplete': { status: 422, title: 'The bundle is not complete' },
  'bundle-copy-hazard': { status: 422, title: 'Devices would mix up files of the bundle' },
  'bundle-not-ready': { status: 409, title: 'The bundle is not ready' },
  'bundle-immutable': { status: 409, title: 'The content of a bundle cannot change' },
  'bundle-signature-invalid': { status: 422, title: 'The signature is not valid' },
  'bundle-signature-missing': { status: 422, title: 'A signature is needed' },
  'release-invalid': { status: 422, title: 'The release statement is not valid' },
  'public-key-invalid': { status: 422, title: 'The public key is not usable' },
  'public-key-revoked': { status: 409, title: 'The public key was revoked' },
  'root-invalid': { status: 422, title: 'The root statement is not valid' },
  'root-in-charge': { status: 409, title: 'A root statement names the keys of the app' },
  'device-token-taken': { status: 409, title: 'The device has its token already' },
  'rollout-in-charge': { status: 409, title: 'A rollout sets the share of devices' },
  'rollout-transition-refused': { status: 409, title: 'The rollout cannot change to this status' },
  'static-delivery-unavailable': { status: 409, title: 'Static delivery is not set up on this server' },
  'no-update': { status: 404, title: 'There is no update' },
} as const satisfies Record<string, Row>
export type ProblemCode = keyof typeof problems

export type FieldError = { pointer: string; detail: string }

/** A refusal: a code, and a sentence that says what to do. */
export class Problem extends Error {
  override name = 'Problem' as const
  readonly code: ProblemCode
  /** Members of the document beside those that every problem has. */
  readonly members: { errors?: readonly FieldError[]; roots?: readonly object[] }
  constructor(code: ProblemCode, detail?: string, { cause, ...members }: Problem['members'] & ErrorOptions = {}) {
    super(detail ?? `${problems[code].title}.`, { cause })
    this.code = code
    this.members = members
  }
}

/** Old device clients store an error body as the file they asked for unless its checksum is wrong. */
export const problemHeaders = {
  'content-type': 'application/problem+json',
  'x-checksum': '0',
  'cache-control': 'no-store',
} as const

/** RFC 9457 document; `message` repeats `detail` because the official CLI prints that key. */
export const ProblemDocument = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    message: z.string(),
    code: z.string(),
    requestId: z.string(),
    errors: z
      .array(z.object({ pointer: z.string(), detail: z.string() }))
      .readonly()
      .optional(),
  })
  .openapi('Problem')
export type ProblemDocument = z.infer<typeof ProblemDocument>

export function toProblemDocument(problem: Problem, publicUrl: string, requestId: string): ProblemDocument {
  const { status, title } = problems[problem.code]
  return {
    type: `${publicUrl}/problems/${problem.code}`,
    title,
    status,
    detail: problem.message,
    message: problem.message,
    code: problem.code,
    requestId,
    ...problem.members,
  }
}
