import type { ApiConfig } from '../config.js'

type Subprocessor = { service: string; host: string; purpose: string; region: string | null }

/** What an installation says about itself: from its configuration, without a secret of it. */
export type OperatorFacts = {
  /** Where vulnerabilities are reported (RFC 9116); null when the operator named no place. */
  disclosure: { contacts: readonly string[]; expires: string; policy: string | null } | null
  subprocessors: readonly Subprocessor[]
  /** Where data is kept, as the operator says. */
  region: string | null
}

type Configured = Pick<
  ApiConfig,
  | 'DATABASE_URL'
  | 'REDIS_URL'
  | 'S3_BUCKET'
  | 'S3_ENDPOINT'
  | 'AWS_REGION'
  | 'KMS_KEY_ID'
  | 'SECURITY_CONTACTS'
  | 'SECURITY_EXPIRES'
  | 'SECURITY_POLICY_URL'
  | 'DATA_REGION'
>

export function operatorFacts(config: Configured): OperatorFacts {
  const region = config.AWS_REGION ?? null
  return {
    disclosure:
      config.SECURITY_CONTACTS.length > 0 && config.SECURITY_EXPIRES
        ? {
            contacts: config.SECURITY_CONTACTS,
            expires: config.SECURITY_EXPIRES,
            policy: config.SECURITY_POLICY_URL ?? null,
          }
        : null,
    subprocessors: [
      { service: 'PostgreSQL', host: hostOf(config.DATABASE_URL), purpose: 'all records', region: null },
      { service: 'Redis', host: hostOf(config.REDIS_URL), purpose: 'queue of builds, by id', region: null },
      config.S3_BUCKET
        ? { service: 'S3', host: storeHost(config), purpose: 'sources, artefacts, bundles', region }
        : { service: 'file system', host: 'this server', purpose: 'sources, artefacts, bundles', region: null },
      ...(config.S3_BUCKET && config.KMS_KEY_ID
        ? [{ service: 'AWS KMS', host: kmsHost(region), purpose: 'encrypts stored objects', region }]
        : []),
    ],
    region: config.DATA_REGION ?? null,
  }
}

/** Of an address the host alone: the rest may hold names and passwords. */
function hostOf(url: string): string {
  return new URL(url).hostname || 'this server'
}

function storeHost({ S3_ENDPOINT, AWS_REGION }: Configured): string {
  return S3_ENDPOINT ? hostOf(S3_ENDPOINT) : `s3.${AWS_REGION ?? 'us-east-1'}.amazonaws.com`
}

const kmsHost = (region: string | null): string => `kms.${region ?? 'us-east-1'}.amazonaws.com`
