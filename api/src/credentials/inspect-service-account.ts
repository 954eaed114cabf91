import { createPrivateKey, type KeyObject } from 'node:crypto'

import { CredentialRefusal } from './credential-refusal.js'
import type { InspectedCredential } from './inspect-file.js'
import { keyFacts } from './inspect-private-key.js'

/** Where an access token may be fetched with the key; any other address could be inside our own network. */
const TOKEN_ADDRESSES = new Set([
  'https://oauth2.googleapis.com/token',
  'https://accounts.google.com/o/oauth2/token',
  'https://www.googleapis.com/oauth2/v4/token',
])

/** A key of a Google service account, as the Cloud console gives it out (JSON). */
export function inspectServiceAccount(bytes: Buffer): InspectedCredential {
  const account = readJson(bytes)
  if ('project_info' in account && 'client' in account) {
    throw new CredentialRefusal(
      'service-account-google-services',
      'This is google-services.json, which configures an app and holds no key. Upload the JSON key of a service account from the Google Cloud console.',
    )
  }
  if (account.type !== 'service_account') {
    throw new CredentialRefusal(
      'service-account-unrecognized',
      'The file is no service account key ("type" is not "service_account"). Create a JSON key for the service account in the Google Cloud console.',
    )
  }
  const clientEmail = text(account.client_email)
  if (!/^[a-z0-9-]{1,100}@[a-z0-9.:-]{1,100}\.iam\.gserviceaccount\.com$/.test(clientEmail)) {
    throw new CredentialRefusal(
      'service-account-email-invalid',
      '"client_email" is not the address of a service account (….iam.gserviceaccount.com).',
    )
  }
  if (!TOKEN_ADDRESSES.has(text(account.token_uri))) {
    throw new CredentialRefusal(
      'service-account-token-uri-refused',
      `"token_uri" is not one of Google's: ${[...TOKEN_ADDRESSES].join(', ')}. Upload the file unchanged.`,
    )
  }
  const key = readKey(text(account.private_key))
  return {
    facts: {
      ...keyFacts(key),
      format: 'json',
      clientEmail,
      projectId: text(account.project_id).slice(0, 200) || null,
      keyId: text(account.private_key_id).slice(0, 200) || null,
    },
    key: { keyPkcs8B64: key.export({ format: 'der', type: 'pkcs8' }).toString('base64'), chainDerB64: [] },
  }
}

function readJson(bytes: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // Falls through: not JSON.
  }
  throw new CredentialRefusal(
    'service-account-unrecognized',
    'The file is not JSON. Upload the JSON key of the service account, not a P12 key.',
  )
}

function readKey(pem: string): KeyObject {
  try {
    if (/^-----BEGIN (RSA )?PRIVATE KEY-----/.test(pem)) {
      const key = createPrivateKey(pem)
      if (key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2048) return key
    }
  } catch {
    // Falls through: a key that cannot be read is as good as none.
  }
  throw new CredentialRefusal(
    'service-account-key-invalid',
    '"private_key" is not an RSA key of 2048 bits or more. Create a new key in the Google Cloud console and upload its file unchanged.',
  )
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '')
