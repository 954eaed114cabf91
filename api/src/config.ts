import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { networksOf } from './auth/client-address.js'
import { isMailAddress } from './mails/mail-address.js'
import type { ObjectStoreSettings } from './objects/open-object-store.js'
import type { StaticPlace } from './static-delivery/open-static-store.js'

/** The only reader of the environment in this package. What it returns may be logged: secrets stand in files. */
const Port = z.coerce.number().int().min(0).max(65535)
const Milliseconds = z.coerce.number().int().min(1)
const Optional = z.string().min(1).optional()

/** SHA-256 of Apple Root CA, G2 and G3. */
const APPLE_ROOTS = [
  'b0b1730ecbc7ff4505142c49f1295e6eda6bcaed7e2c68c5be91b5a11001f024',
  'c2b9b042dd57830e7d117dac55ac8ae19407d38e41d88f3215bc3a890444a050',
  '63343abfb89a6a03ebb57e9b3f5fa7be7c4f5c756f3017b3a8c488c3653e9179',
]
const Fingerprints = z
  .string()
  .transform((list) => list.split(',').map((item) => item.trim().replaceAll(':', '').toLowerCase()))
  .pipe(z.array(z.string().regex(/^[0-9a-f]{64}$/, 'is no SHA-256 fingerprint')).min(1))

const HostList = z
  .string()
  .transform((list) => list.split(',').flatMap((host) => (host.trim() === '' ? [] : [host.trim().toLowerCase()])))
  .pipe(z.array(z.string().regex(/^[a-z0-9.:-]+$/, 'is no list of hosts')))
const Networks = z
  .string()
  .default('')
  .transform((list) => list.split(',').flatMap((item) => (item.trim() === '' ? [] : [item.trim()])))
  .refine(areNetworks, 'name networks like 10.0.0.0/8, separated by commas')

const Contacts = z
  .string()
  .transform((list) => list.split(',').flatMap((item) => (item.trim() === '' ? [] : [item.trim()])))
  .pipe(z.array(z.string().regex(/^(?:mailto:|tel:|https:)[^\s]+$/, 'is no mailto:, tel: or https: address')))
const LONGEST_EXPIRY_MS = 366 * 24 * 60 * 60 * 1000

const Database = z.object({ DATABASE_URL: z.url(), DATABASE_PASSWORD_FILE: Optional })
const Redis = z.object({ REDIS_URL: z.url(), REDIS_USERNAME: Optional, REDIS_PASSWORD_FILE: Optional })
const Logging = z.object({ LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info') })
const ObjectStoreEnvironment = z
  .object({
    OBJECT_STORE_DIR: Optional,
    OBJECT_STORE_KEY_FILE: Optional,
    S3_BUCKET: Optional,
    S3_ENDPOINT: Optional,
    AWS_REGION: Optional,
    KMS_KEY_ID: Optional,
  })
  .refine((env) => Boolean(env.S3_BUCKET) !== Boolean(env.OBJECT_STORE_DIR), {
    message: 'set either S3_BUCKET or OBJECT_STORE_DIR, not both',
  })
  .refine((env) => !env.OBJECT_STORE_DIR || env.OBJECT_STORE_KEY_FILE, {
    message: 'OBJECT_STORE_DIR needs OBJECT_STORE_KEY_FILE',
  })

/** Where static objects of live updates lie, for everybody to fetch; without either there are none. */
const StaticEnvironment = z
  .object({ STATIC_DIR: Optional, STATIC_S3_BUCKET: Optional, CHANNEL_STATEMENT_KEY_FILE: Optional })
  .refine((env) => env.STATIC_DIR === undefined || env.STATIC_S3_BUCKET === undefined, {
    message: 'set either STATIC_DIR or STATIC_S3_BUCKET, not both',
  })

const LOOPBACK = ['127.0.0.1', '::1', 'localhost']

/** Of mail; where it is set, mail is sent. */
const Sender = z.string().refine(isMailAddress, 'is no mail address like capstan@example.com').optional()
const MAIL_NEEDS_KEY = 'MAIL_FROM needs WEBHOOK_KEY_FILE, which seals what waits to be sent'

export const ApiConfig = z
  .object({
    HOST: z.string().default('127.0.0.1'),
    PORT: Port.default(4400),
    PUBLIC_URL: z.url(),
    TOKEN_PEPPER_FILE: z.string().min(1),
    BROKER_SEAL_SOCKET: z.string().min(1),
    LEASE_MS: Milliseconds.default(60_000),
    WORKER_REPORT_MS: Milliseconds.default(20_000),
    SOURCE_PRIVATE_HOSTS: HostList.default([]),
    /** Hosts of the operator's own network that this process may call for an organization. */
    OUTBOUND_PRIVATE_HOSTS: HostList.default([]),
    /** 32 bytes that seal secrets of webhooks, and mails: the same for the API and the control process. */
    WEBHOOK_KEY_FILE: Optional,
    MAIL_FROM: Sender,
    TRUSTED_PROXIES: Networks,
    /** A MaxMind DB of countries; without one no organization can be bound to countries. */
    COUNTRY_DATABASE_FILE: Optional,
    TLS_CERT_FILE: Optional,
    TLS_KEY_FILE: Optional,
    APPLE_ROOT_FINGERPRINTS: Fingerprints.default(APPLE_ROOTS),
    /** For /.well-known/security.txt: where reports go, and until when that is true. */
    SECURITY_CONTACTS: Contacts.default([]),
    SECURITY_EXPIRES: z.iso.datetime({ offset: true }).optional(),
    SECURITY_POLICY_URL: z.url({ protocol: /^https$/ }).optional(),
    /** Where data is kept; a bucket in another region is refused. */
    DATA_REGION: Optional,
  })
  .refine((env) => env.MAIL_FROM === undefined || env.WEBHOOK_KEY_FILE !== undefined, { message: MAIL_NEEDS_KEY })
  .refine((env) => env.SECURITY_CONTACTS.length > 0 === (env.SECURITY_EXPIRES !== undefined), {
    message: 'SECURITY_CONTACTS and SECURITY_EXPIRES belong together: set both or none',
  })
  .refine((env) => env.SECURITY_EXPIRES === undefined || isWithinAYear(env.SECURITY_EXPIRES), {
    message:
      'SECURITY_EXPIRES must lie in the future, and no more than a year ahead: look at the contacts and set it anew',
  })
  .refine((env) => (env.TLS_CERT_FILE === undefined) === (env.TLS_KEY_FILE === undefined), {
    message: 'TLS_CERT_FILE and TLS_KEY_FILE belong together: set both or none',
  })
  .refine((env) => env.TLS_CERT_FILE === undefined || env.PUBLIC_URL.startsWith('https:'), {
    message: 'PUBLIC_URL must begin with https when TLS_CERT_FILE is set',
  })
  .refine((env) => env.TLS_CERT_FILE !== undefined || env.TRUSTED_PROXIES.length > 0 || LOOPBACK.includes(env.HOST), {
    message:
      'plain http is served on loopback only: set TLS_CERT_FILE and TLS_KEY_FILE, or TRUSTED_PROXIES to the proxy in front',
  })
  .and(Database)
  .and(Redis)
  .and(Logging)
  .and(ObjectStoreEnvironment)
  .and(StaticEnvironment)
  .refine((env) => !env.DATA_REGION || !env.S3_BUCKET || env.AWS_REGION === env.DATA_REGION, {
    message: 'the bucket lies in another region (AWS_REGION) than DATA_REGION promises',
  })
export type ApiConfig = z.infer<typeof ApiConfig>

export const ControlConfig = z
  .object({
    PUBLIC_URL: z.url(),
    SWEEP_MS: Milliseconds.default(5_000),
    RELAY_MS: Milliseconds.default(500),
    OUTBOUND_PRIVATE_HOSTS: HostList.default([]),
    WEBHOOK_KEY_FILE: Optional,
    /** `smtps://user@host` or `smtp://user@host:587`: the latter with STARTTLS, but on loopback. */
    SMTP_URL: z.url({ protocol: /^smtps?$/ }).optional(),
    SMTP_PASSWORD_FILE: Optional,
    MAIL_FROM: Sender,
    /** Builds of one organization that may be with workers at once, where it has no number of its own. */
    BUILDS_PER_ORGANIZATION: z.coerce.number().int().min(1).max(1000).default(20),
  })
  .refine((env) => (env.SMTP_URL === undefined) === (env.MAIL_FROM === undefined), {
    message: 'SMTP_URL and MAIL_FROM belong together: set both or none',
  })
  .refine((env) => env.MAIL_FROM === undefined || env.WEBHOOK_KEY_FILE !== undefined, { message: MAIL_NEEDS_KEY })
  .refine((env) => env.SMTP_URL === undefined || new URL(env.SMTP_URL).password === '', {
    message: 'SMTP_URL holds a password: put it into a file and name that in SMTP_PASSWORD_FILE',
  })
  .refine((env) => !env.SMTP_URL || (new URL(env.SMTP_URL).username !== '') === Boolean(env.SMTP_PASSWORD_FILE), {
    message: 'a user in SMTP_URL and SMTP_PASSWORD_FILE belong together: set both or none',
  })
  .and(Database)
  .and(Redis)
  .and(Logging)
  .and(ObjectStoreEnvironment)
  .and(StaticEnvironment)
export type ControlConfig = z.infer<typeof ControlConfig>

export const BrokerConfig = z
  .object({
    MASTER_KEY_FILE: Optional,
    /** AWS KMS as the root; a master key beside it only unwraps what is still under it. */
    KMS_KEY_ID: Optional,
    KMS_OLD_KEY_IDS: z
      .string()
      .default('')
      .transform((list) => list.split(',').flatMap((id) => (id.trim() === '' ? [] : [id.trim()]))),
    KMS_ENDPOINT: z.url().optional(),
    AWS_REGION: Optional,
    KEY_STORE_DIR: z.string().min(1),
    KEY_STORE_RETENTION_DAYS: z.coerce.number().int().min(0).max(3650).default(7),
    DELETION_KEY_FILE: z.string().min(1),
    /** Ed25519; signs where artefacts come from. Without it there is no provenance. */
    PROVENANCE_KEY_FILE: Optional,
    /** Ed25519; signs checkpoints of audit chains under the host of PUBLIC_URL. */
    CHECKPOINT_KEY_FILE: z.string().min(1),
    /** What was signed last, apart from the database. */
    CHECKPOINT_DIR: z.string().min(1),
    CHECKPOINT_MS: Milliseconds.default(15_000),
    PUBLIC_URL: z.url(),
    TOKEN_PEPPER_FILE: z.string().min(1),
    BROKER_SEAL_SOCKET: z.string().min(1),
    BROKER_OPEN_SOCKET: z.string().min(1),
    BROKER_ADMIN_SOCKET: z.string().min(1),
  })
  .refine((env) => env.MASTER_KEY_FILE !== undefined || env.KMS_KEY_ID !== undefined, {
    message: 'set MASTER_KEY_FILE or KMS_KEY_ID: the root of all keys',
  })
  .refine((env) => env.KMS_KEY_ID === undefined || env.AWS_REGION !== undefined, {
    message: 'KMS_KEY_ID needs AWS_REGION',
  })
  .and(Database)
  .and(Logging)
export type BrokerConfig = z.infer<typeof BrokerConfig>

export const ProvisionConfig = z.object({ TOKEN_PEPPER_FILE: z.string().min(1) }).and(Database)

function isWithinAYear(text: string): boolean {
  const ahead = Date.parse(text) - Date.now()
  return ahead > 0 && ahead <= LONGEST_EXPIRY_MS
}

function areNetworks(texts: readonly string[]): boolean {
  try {
    return Boolean(networksOf(texts))
  } catch {
    return false
  }
}

export function objectStoreSettings(config: z.infer<typeof ObjectStoreEnvironment>): ObjectStoreSettings {
  if (config.OBJECT_STORE_DIR && config.OBJECT_STORE_KEY_FILE) {
    return { kind: 'filesystem', dir: config.OBJECT_STORE_DIR, keyFile: config.OBJECT_STORE_KEY_FILE }
  }
  return {
    kind: 's3',
    bucket: config.S3_BUCKET ?? '',
    ...(config.S3_ENDPOINT ? { endpoint: config.S3_ENDPOINT } : {}),
    ...(config.AWS_REGION ? { region: config.AWS_REGION } : {}),
    ...(config.KMS_KEY_ID ? { kmsKeyId: config.KMS_KEY_ID } : {}),
  }
}

type StaticSettings = z.infer<typeof StaticEnvironment> & z.infer<typeof ObjectStoreEnvironment>

export function staticPlace(config: StaticSettings): StaticPlace | null {
  const { STATIC_DIR: dir, STATIC_S3_BUCKET: bucket, S3_ENDPOINT: endpoint, AWS_REGION: region } = config
  if (dir !== undefined) return { kind: 'folder', dir }
  if (bucket === undefined) return null
  return { kind: 'bucket', bucket, ...(endpoint ? { endpoint } : {}), ...(region ? { region } : {}) }
}

/** Reads the settings of one process; a missing or contradictory one ends it with a sentence and exit code 78. */
export function readConfig<T>(schema: z.ZodType<T>, env: NodeJS.ProcessEnv = process.env): T {
  const parsed = schema.safeParse(Object.fromEntries(Object.entries(env).filter(([, value]) => value !== '')))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const name = issue?.path.join('.')
  process.stderr.write(`Configuration: ${name ? `${name}: ` : ''}${issue?.message ?? 'unreadable'}\n`)
  return process.exit(78)
}

/** The PKCS#8 PEM of the platform's Ed25519 key; any other key ends the process. */
export function readStatementKey(file: string | undefined): string | null {
  if (file === undefined) return null
  const pem = readFileSync(file, 'utf8')
  if (createPrivateKey(pem).asymmetricKeyType !== 'ed25519') {
    process.stderr.write('Configuration: CHANNEL_STATEMENT_KEY_FILE must hold an Ed25519 private key in PEM form.\n')
    process.exit(78)
  }
  return pem
}

/** A password from its file; `undefined` when no file is named. */
export function readPassword(file: string | undefined): string | undefined {
  return file === undefined ? undefined : readFileSync(file, 'utf8').trim()
}
